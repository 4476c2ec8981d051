/**
 * How the answer gets into the file: at a save, and never before.
 *
 * Writing to the notebook while the text grows would make it dirty, draw every output again and, with collaboration,
 * fill the document's history. So the outputs are brought up to date in the moment of a save. Besides that, once, when
 * a job has ended, the page that ran its cell makes the notebook dirty, so that autosave stores the answer.
 */

import type { Cell, CodeCellModel } from '@jupyterlab/cells';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { INotebookModel, NotebookPanel } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { type Data, refreshed } from './bundle';
import { hasEnded } from './fold';
import type { Disposable, Followed, Source } from './live';
import { type Place, places } from './places';

/** After a change of the notebook we look for jobs in it this much later: typing is a change too. */
const LOOK_AFTER = 300; // ms

/** Keeps the answers of one open notebook. */
export class Keeper implements IDisposable {
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _source: Pick<Source, 'follow'>
  ) {
    const { context } = _panel;
    context.saveState.connect(this._onSave, this);
    _panel.disposed.connect(this.dispose, this);
    void context.ready.then(() => {
      if (!this.isDisposed) {
        context.model.contentChanged.connect(this._lookSoon, this);
        this._look();
      }
    });
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    clearTimeout(this._looking);
    this._follows.forEach(following => following.dispose());
    this._follows.clear();
    Signal.clearData(this);
  }

  /** This page ran the cell: it is the one to make the notebook dirty when its jobs end. */
  ran(cell: Cell): void {
    this._look();
    for (const { cell: model, bundle } of places(this._model)) {
      if (model === cell.model) {
        this._ran.add(bundle.id);
        this._atEnd(bundle.id);
      }
    }
  }

  private get _model(): INotebookModel {
    return this._panel.context.model;
  }

  private _lookSoon(): void {
    this._looking ??= setTimeout(() => this._look(), LOOK_AFTER);
  }

  /** Follow the jobs that are in the notebook and not yet whole in it, and no others. */
  private _look(): void {
    clearTimeout(this._looking);
    this._looking = undefined;
    const here = new Set<string>();
    for (const { bundle } of places(this._model)) {
      here.add(bundle.id);
      if (!hasEnded(bundle.status) && !this._follows.has(bundle.id)) {
        this._follow(bundle.id);
      }
    }
    for (const [job, following] of this._follows) {
      if (!here.has(job)) {
        following.dispose();
        this._follows.delete(job);
        this._states.delete(job);
      }
    }
  }

  private _follow(job: string): void {
    const following = this._source.follow(job, state => {
      const before = this._states.get(job);
      this._states.set(job, state);
      if (state.closed && before?.closed !== true) {
        this._atEnd(job);
      }
    });
    this._follows.set(job, following);
  }

  /** Once, in the page that ran the cell: let autosave store the answer. */
  private _atEnd(job: string): void {
    if (this._states.get(job)?.closed !== true || !this._ran.delete(job)) {
      return;
    }
    const stale = this._stale().filter(({ bundle }) => bundle.id === job);
    if (stale.length === 0) {
      return;
    }
    if (this._model.collaborative) {
      stale.forEach(({ cell, index, fresh }) => writeShared(cell, index, fresh));
    } else {
      this._model.dirty = true;
    }
  }

  private _onSave(_: unknown, state: DocumentRegistry.SaveState): void {
    // With collaboration the server saves, and every page would write: there only the end is written.
    if (state !== 'started' || this._model.collaborative) {
      return;
    }
    for (const { cell, index, fresh } of this._stale()) {
      cell.outputs.set(index, { ...cell.outputs.get(index).toJSON(), data: fresh as never });
    }
  }

  /** The outputs that do not say what we know, with what they should say. */
  private _stale(): (Place & { fresh: Data })[] {
    return [...places(this._model)].flatMap(place => {
      const state = this._states.get(place.bundle.id);
      if (state?.cursor == null || state.trouble !== null) {
        return [];
      }
      const fresh = refreshed(place.data, place.bundle, state.cursor, state.answer);
      return fresh === null ? [] : [{ ...place, fresh }];
    });
  }

  private readonly _follows = new Map<string, Disposable>();
  private readonly _states = new Map<string, Followed>();
  /** Jobs of cells that this page ran, until they have ended. */
  private readonly _ran = new Set<string>();
  private _looking: ReturnType<typeof setTimeout> | undefined;
  private _disposed = false;
}

/** What we use of a shared code cell's outputs; its interface does not show them. */
interface SharedOutputs {
  transact(change: () => void, undoable: boolean): void;
  youtputs: { get(index: number): { set(name: string, value: unknown): void } | undefined };
}

/** Write into the shared document without an undo entry, and without replacing the output. */
function writeShared(cell: CodeCellModel, index: number, data: Data): void {
  const shared = cell.sharedModel as unknown as SharedOutputs;
  shared.transact(() => shared.youtputs.get(index)?.set('data', data), false);
}
