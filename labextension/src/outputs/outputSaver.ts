/**
 * How the answer gets into the file: at a save, and at no other time.
 *
 * Writing to the notebook while the text grows would make it dirty, draw every output again and, with collaboration,
 * fill the document's history. So the outputs are brought up to date in the moment of a save. Besides that, the page
 * that ran the cell saves the notebook once when the job is in it, so that whoever closes the tab finds the job again;
 * and when the job has ended, it makes the notebook dirty, so that autosave stores the answer.
 *
 * With collaboration the document is everybody's, and what one page writes the server saves. There the end alone is
 * written, by the one page that the server elects among those that saw it; and if nobody did, at the next save, or
 * when somebody changes the notebook: some servers save each change, and a page need not.
 */

import type { Cell } from '@jupyterlab/cells';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { INotebookModel, NotebookPanel } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import type { OutputData } from './mimebundle';
import type { Batches } from '../wire/batches';
import { NotebookJobs, type Sources } from './notebookState';
import type { Disposable } from '../wire/feed';
import type { Live } from '../wire/live';
import { idsOf, type JobOutput, jobOutputs } from './jobOutputs';
import type { RetryChains } from '../wire/retryChains';
import { SaveLease, onLocalChange, writeShared } from './saveLease';

/** After a change of the notebook we look for jobs in it this much later: typing is a change too. */
const LOOK_AFTER = 300; // ms
/** After a change of a shared notebook, what has ended since it was saved is written this much later. */
const WRITE_AFTER = 300; // ms
/** Cells that run one after another are saved together. */
const SAVE_AFTER = 300; // ms

export interface OutputSaverOptions extends Sources {
  live: Pick<Live, 'follow' | 'picture' | 'mayWrite'>;
  retries: Pick<RetryChains, 'watch' | 'onRetry'>;
  groups: Pick<Batches, 'follow' | 'onRetry'>;
  maySave: () => boolean;
}

/** Keeps the answers of one open notebook. */
export class OutputSaver implements IDisposable {
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _options: OutputSaverOptions
  ) {
    const { context } = _panel;
    this._jobs = new NotebookJobs(_options, (id, live) => this._ended(id, live));
    this._lease = new SaveLease(
      id => _options.live.mayWrite(context.path, id),
      id => this._writeEnds(id)
    );
    this._unqueued = queued(context);
    context.saveState.connect(this._onSave, this);
    _panel.disposed.connect(this.dispose, this);
    this._listening = [_options.retries, _options.groups].map(source => source.onRetry(id => this._retried(id)));
    void context.ready.then(() => {
      if (!this.isDisposed) {
        context.model.contentChanged.connect(this._lookSoon, this);
        if (this._model.collaborative) {
          this._changing = onLocalChange(this._model.sharedModel, () => this._writeSoon());
        }
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
    clearTimeout(this._writing);
    this._changing?.dispose();
    this._listening.forEach(each => each.dispose());
    this._lease.dispose();
    this._jobs.dispose();
    this._unqueued.dispose();
    Signal.clearData(this);
  }

  /** This page ran the cell: it is the one to save the notebook now, and to make it dirty when the jobs end. */
  ran(cell: Cell): void {
    if (this.isDisposed) {
      return;
    }
    this._writeSoon(); // where a server runs cells, it is not this page that changes the notebook
    this._look();
    for (const place of jobOutputs(this._model)) {
      if (place.cell === cell.model) {
        this._saveSoon();
        idsOf(place).forEach(id => {
          this._ran.add(id);
          this._atEnd(id);
        });
      }
    }
  }

  /** Somebody in this page asked for it: to this page its answer is as that of a cell that it ran. */
  private _retried(id: string): void {
    if (this._jobs.has(id)) {
      this._ran.add(id);
      this._atEnd(id);
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
    if (this._model.collaborative || context.contentsModel?.writable !== true || !this._options.maySave()) {
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

  private _look(): void {
    clearTimeout(this._looking);
    this._looking = undefined;
    this._jobs.look(jobOutputs(this._model));
  }

  private _ended(id: string, live: boolean): void {
    if (live && this._model.collaborative) {
      this._lease.ask(id); // whoever ran the cell may have left
    }
    this._atEnd(id);
  }

  /** Once, in the page that ran the cell, or asked it again: let autosave store the answer. */
  private _atEnd(id: string): void {
    if (!this._jobs.isOver(id) || !this._ran.delete(id)) {
      return;
    }
    if (this._model.collaborative) {
      this._lease.ask(id);
    } else if (this._stale().some(place => this._jobs.shows(place, id))) {
      this._model.dirty = true;
    }
  }

  private _onSave(_: unknown, state: DocumentRegistry.SaveState): void {
    if (state !== 'started') {
      return;
    }
    if (this._model.collaborative) {
      this.writeLacking();
      return;
    }
    for (const { cell, index, fresh } of this._stale()) {
      cell.outputs.set(index, { ...cell.outputs.get(index).toJSON(), data: fresh as never });
    }
  }

  private _writeSoon(): void {
    clearTimeout(this._writing);
    this._writing = setTimeout(() => this.writeLacking(), WRITE_AFTER);
  }

  /** Write into a shared document the ends that it lacks, whenever they came: it is saved now, or was just changed. */
  writeLacking(): void {
    if (this._model.collaborative && !this.isDisposed) {
      const lacking = [...jobOutputs(this._model)].filter(
        place => this._jobs.lacksEnd(place) && this._jobs.fresh(place) !== null
      );
      lacking.flatMap(idsOf).forEach(id => this._lease.ask(id));
    }
  }

  /** Write into the shared document what has ended, where it shows this; returns a function that does, or null. */
  private _writeEnds(id: string): (() => void) | null {
    const lacking = (): (JobOutput & { fresh: OutputData })[] =>
      this._stale().filter(
        place => (this._jobs.shows(place, id) || idsOf(place).includes(id)) && this._jobs.lacksEnd(place)
      );
    if (this._panel.context.contentsModel?.writable === false || lacking().length === 0) {
      return null;
    }
    return () => lacking().forEach(writeEnd);
  }

  /** The outputs that do not say what we know, with what they should say. */
  private _stale(): (JobOutput & { fresh: OutputData })[] {
    return [...jobOutputs(this._model)].flatMap(place => {
      const fresh = this._jobs.fresh(place);
      return fresh === null ? [] : [{ ...place, fresh }];
    });
  }

  private readonly _jobs: NotebookJobs;
  private readonly _lease: SaveLease;
  private readonly _listening: readonly Disposable[];
  /** Jobs and batches that this page asked for, by running a cell or by a retry, until they have ended. */
  private readonly _ran = new Set<string>();
  private _looking: ReturnType<typeof setTimeout> | undefined;
  private _saving: ReturnType<typeof setTimeout> | undefined;
  private _writing: ReturnType<typeof setTimeout> | undefined;
  private _changing: Disposable | undefined;
  private readonly _unqueued: Disposable;
  private _disposed = false;
}

/** The document may be anybody's: one cell that cannot be written must not keep the ends of others from it. */
function writeEnd({ cell, index, fresh }: JobOutput & { fresh: OutputData }): void {
  try {
    writeShared(cell, index, fresh);
  } catch (error) {
    console.warn('jupyter_bgstream: an answer was not written into the document', error);
  }
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
