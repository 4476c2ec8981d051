/**
 * How the answer gets into the file: at a save, and at no other time.
 *
 * Writing to the notebook while the text grows would make it dirty, draw every output again and, with collaboration,
 * fill the document's history. So the outputs are brought up to date in the moment of a save. Besides that, the page
 * that ran the cell saves the notebook once when the job is in it, so that whoever closes the tab finds the job again;
 * and when the job has ended, it makes the notebook dirty, so that autosave stores the answer.
 */

import type { Cell, CodeCellModel } from '@jupyterlab/cells';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { INotebookModel, NotebookPanel } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { type Data, refreshed } from './bundle';
import { type Answer, hasEnded } from './fold';
import { type Disposable, type Followed, type Source, wasDeleted } from './live';
import { type Place, places } from './places';
import type { Chain, Retries } from './retries';

/** After a change of the notebook we look for jobs in it this much later: typing is a change too. */
const LOOK_AFTER = 300; // ms
/** Cells that run one after another are saved together. */
const SAVE_AFTER = 300; // ms

/** A job of the notebook, and the newest that asks it again: that one's answer is the one to save. */
interface Kept {
  newest: string;
  /** Of the newest; null while it is not followed. */
  state: Followed | null;
  following: Disposable | null;
  watching: Disposable | null;
}

/** Keeps the answers of one open notebook. */
export class Keeper implements IDisposable {
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _source: Pick<Source, 'follow'>,
    private readonly _retries: Pick<Retries, 'watch' | 'onRetry'>,
    private readonly _maySave: () => boolean = () => true
  ) {
    const { context } = _panel;
    this._unqueued = queued(context);
    context.saveState.connect(this._onSave, this);
    _panel.disposed.connect(this.dispose, this);
    this._listening = _retries.onRetry(job => this._retried(job));
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
    clearTimeout(this._saving);
    this._listening.dispose();
    this._kept.forEach(kept => forget(kept));
    this._kept.clear();
    this._unqueued.dispose();
    Signal.clearData(this);
  }

  /** This page ran the cell: it is the one to save the notebook now, and to make it dirty when the jobs end. */
  ran(cell: Cell): void {
    if (this.isDisposed) {
      return;
    }
    this._look();
    for (const { cell: model, bundle } of places(this._model)) {
      if (model === cell.model) {
        this._saveSoon();
        this._ran.add(bundle.id);
        this._atEnd(bundle.id);
      }
    }
  }

  /** Somebody in this page asked for it: to this page its answer is as that of a cell that it ran. */
  private _retried(job: string): void {
    if (this._keptOf(job) !== undefined) {
      this._ran.add(job);
      this._atEnd(job);
    }
  }

  private get _model(): INotebookModel {
    return this._panel.context.model;
  }

  private _saveSoon(): void {
    clearTimeout(this._saving);
    this._saving = setTimeout(() => void this._save(), SAVE_AFTER);
  }

  private async _save(): Promise<void> {
    const { context } = this._panel;
    if (this._model.collaborative || context.contentsModel?.writable !== true || !this._maySave()) {
      return;
    }
    try {
      await context.save();
    } catch (error) {
      console.warn('jupyter_bgstream: the notebook was not saved', error); // Lab has said it
    }
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
      if (!this._kept.has(bundle.id)) {
        this._keep(bundle.id, !hasEnded(bundle.status));
      }
    }
    for (const [job, kept] of this._kept) {
      if (!here.has(job)) {
        forget(kept);
        this._kept.delete(job);
      }
    }
  }

  /** A save may have put the newest's id into the notebook since we looked. */
  private _keptOf(job: string): Kept | undefined {
    return [...this._kept.values()].find(({ newest }) => newest === job) ?? this._kept.get(job);
  }

  private _keep(job: string, unfinished: boolean): void {
    const kept: Kept = { newest: job, state: null, following: null, watching: null };
    this._kept.set(job, kept);
    if (unfinished) {
      this._follow(kept);
    }
    kept.watching = this._retries.watch(job, (chain: Chain) => {
      const newest = chain.at(-1)?.id ?? job;
      if (newest !== kept.newest) {
        kept.newest = newest;
        this._follow(kept);
      }
    });
  }

  private _follow(kept: Kept): void {
    const job = kept.newest;
    kept.following?.dispose();
    kept.state = null;
    kept.following = this._source.follow(job, state => {
      const before = kept.state;
      kept.state = state;
      if (isOver(state) && (before === null || !isOver(before))) {
        this._atEnd(job);
      }
    });
  }

  /** Once, in the page that ran the cell, or asked it again: let autosave store the answer. */
  private _atEnd(job: string): void {
    const state = this._keptOf(job)?.state;
    if (state == null || !isOver(state) || !this._ran.delete(job)) {
      return;
    }
    const stale = this._stale().filter(({ bundle }) => this._keptOf(bundle.id)?.newest === job);
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
      const { newest, state } = this._keptOf(place.bundle.id) ?? {};
      // What was seen is written even if the server has it no more; of what was never seen, the file knows best.
      if (newest === undefined || state?.cursor == null) {
        return [];
      }
      const fresh = refreshed(place.data, newest, state.cursor, lastKnown(state));
      return fresh === null ? [] : [{ ...place, fresh }];
    });
  }

  /** By the id in the notebook. */
  private readonly _kept = new Map<string, Kept>();
  private readonly _listening: Disposable;
  /** Jobs that this page asked for, by running a cell or by a retry, until they have ended. */
  private readonly _ran = new Set<string>();
  private _looking: ReturnType<typeof setTimeout> | undefined;
  private _saving: ReturnType<typeof setTimeout> | undefined;
  private readonly _unqueued: Disposable;
  private _disposed = false;
}

/**
 * Let a notebook's saves follow each other: ours, autosave, and a person's. Two at a time, and Lab asks whether to
 * overwrite what somebody else has changed, for the second finds on the disk what the first has just written.
 */
function queued(context: { save(): Promise<void> }): Disposable {
  const own = Object.getOwnPropertyDescriptor(context, 'save');
  const save = context.save.bind(context);
  let last: Promise<unknown> = Promise.resolve();
  context.save = () => {
    const next = last.then(save);
    last = next.catch(() => undefined); // whoever asked for it is told
    return next;
  };
  return {
    dispose: () => {
      if (own) {
        Object.defineProperty(context, 'save', own);
      } else {
        Reflect.deleteProperty(context, 'save'); // the class's own shows again
      }
    }
  };
}

function forget({ following, watching }: Kept): void {
  following?.dispose();
  watching?.dispose();
}

/** Nothing more comes: the job has ended, or was deleted while we looked. */
function isOver(state: Followed): boolean {
  return state.closed || wasDeleted(state);
}

/** The answer to write: a job that was deleted before its end was stopped. */
function lastKnown(state: Followed): Answer {
  const { answer } = state;
  return wasDeleted(state) && !hasEnded(answer.status) ? { ...answer, status: 'cancelled' } : answer;
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
