/**
 * Writes answers into the notebook: when it is saved or, with collaboration, when a job has ended.
 *
 * Writing while the text grows would make the notebook dirty, draw every output again and, with collaboration, fill the
 * document's history. So the outputs are updated at the moment of a save. The page that ran the cell saves the notebook
 * once, when the output with the job appears, so that a closed tab finds the job again when it opens. When the job has
 * ended, this page makes the notebook dirty, so that autosave stores the answer.
 *
 * With collaboration all pages share the document, and the server saves each change. There only the end is written, by
 * the one page that the server elects among those that saw it. If no page saw it, the end is written at the next save,
 * or when a page changes the notebook: some collaboration servers save by themselves.
 */

import type { Cell } from '@jupyterlab/cells';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { INotebookModel, NotebookPanel } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import type { Batches } from '../wire/liveBatches';
import type { Disposable } from '../wire/jobFeed';
import type { Live } from '../wire/liveJobs';
import type { RetryChains } from '../wire/retryChains';
import { idsOf, type JobOutput, jobOutputs } from './findOutputs';
import type { OutputData } from './mimebundle';
import { type NotebookFeeds, NotebookJobs } from './notebookJobs';
import { asInDocument, onLocalChange, SaveLease, writeShared } from './saveLease';

/** Delay from a change of the notebook to the search for jobs in it: typing is a change too. */
const LOOK_AFTER = 300; // ms
/** Delay from a change of a shared notebook to writing the ends of jobs that it lacks. */
const WRITE_AFTER = 300; // ms
/** Delay before a save, so that cells that run one after another are saved together. */
const SAVE_AFTER = 300; // ms

export interface OutputSaverOptions extends NotebookFeeds {
  live: Pick<Live, 'follow' | 'image' | 'mayWrite'>;
  retries: Pick<RetryChains, 'watch' | 'onRetry'>;
  batches: Pick<Batches, 'follow' | 'onRetry'>;
  maySave: () => boolean;
}

/** Saves the answers of one open notebook. */
export class OutputSaver implements IDisposable {
  isDisposed = false;

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
    this._saveQueue = queueSaves(context);
    context.saveState.connect(this._onSave, this);
    _panel.disposed.connect(this.dispose, this);
    this._retryListeners = [_options.retries, _options.batches].map(source => source.onRetry(id => this._retried(id)));
    void context.ready.then(() => {
      if (!this.isDisposed) {
        context.model.contentChanged.connect(this._lookSoon, this);
        if (this._model.collaborative) {
          this._localChanges = onLocalChange(this._model.sharedModel, () => this._writeSoon());
        }
        this._look();
      }
    });
  }

  dispose(): void {
    this.isDisposed = true;
    clearTimeout(this._lookTimer);
    clearTimeout(this._saveTimer);
    clearTimeout(this._writeTimer);
    this._localChanges?.dispose();
    this._retryListeners.forEach(each => each.dispose());
    this._lease.dispose();
    this._jobs.dispose();
    this._saveQueue.dispose();
    Signal.clearData(this);
  }

  /** Handle a cell that this page ran: save the notebook now, and make it dirty when the jobs end. */
  ran(cell: Cell): void {
    if (this.isDisposed) {
      return;
    }
    this._writeSoon(); // with server-side execution this page does not change the notebook itself
    this._look();
    for (const output of jobOutputs(this._model)) {
      if (output.cell === cell.model) {
        this._saveSoon();
        idsOf(output).forEach(id => {
          this._ran.add(id);
          this._markDirtyAtEnd(id);
        });
      }
    }
  }

  /** Handle a retry in this page: its answer is saved as that of a cell that this page ran. */
  private _retried(id: string): void {
    if (this._jobs.has(id)) {
      this._ran.add(id);
      this._markDirtyAtEnd(id);
    }
  }

  private get _model(): INotebookModel {
    return this._panel.context.model;
  }

  private _saveSoon(): void {
    clearTimeout(this._saveTimer);
    this._saveTimer = setTimeout(() => void this._save(), SAVE_AFTER);
  }

  private async _save(): Promise<void> {
    const { context } = this._panel;
    if (this._model.collaborative || context.contentsModel?.writable !== true || !this._options.maySave()) {
      return;
    }
    try {
      await context.save();
    } catch (error) {
      console.warn('jupyter_bgstream: the notebook was not saved', error); // Lab shows the error itself
    }
  }

  private _lookSoon(): void {
    this._lookTimer ??= setTimeout(() => this._look(), LOOK_AFTER);
  }

  private _look(): void {
    clearTimeout(this._lookTimer);
    this._lookTimer = undefined;
    this._jobs.look(jobOutputs(this._model));
  }

  private _ended(id: string, live: boolean): void {
    if (live && this._model.collaborative) {
      this._lease.ask(id); // the page that ran the cell may be closed
    }
    this._markDirtyAtEnd(id);
  }

  /** Let autosave store the answer, once, in the page that ran the cell or retried the job. */
  private _markDirtyAtEnd(id: string): void {
    if (!this._jobs.isOver(id) || !this._ran.delete(id)) {
      return;
    }
    if (this._model.collaborative) {
      this._lease.ask(id);
    } else if (this._outdatedOutputs().some(output => this._jobs.shows(output, id))) {
      this._model.dirty = true;
    }
  }

  private _onSave(_: unknown, state: DocumentRegistry.SaveState): void {
    if (state !== 'started') {
      return;
    }
    if (this._model.collaborative) {
      this.writeMissingEnds();
      return;
    }
    for (const { cell, index, updated } of this._outdatedOutputs()) {
      cell.outputs.set(index, { ...cell.outputs.get(index).toJSON(), data: updated as never });
    }
  }

  private _writeSoon(): void {
    clearTimeout(this._writeTimer);
    this._writeTimer = setTimeout(() => this.writeMissingEnds(), WRITE_AFTER);
  }

  /** Write the ends that a shared document lacks; called when it is saved or was just changed. */
  writeMissingEnds(): void {
    if (this._model.collaborative && !this.isDisposed) {
      const incomplete = this._outputs().filter(
        output => this._jobs.isEndMissing(output) && this._jobs.updatedData(output) !== null
      );
      incomplete.flatMap(idsOf).forEach(id => this._lease.ask(id));
    }
  }

  /** Return a function that writes an end into the outputs of the shared document that show it, or null. */
  private _writeEnds(id: string): (() => void) | null {
    const incomplete = (): (JobOutput & { updated: OutputData })[] =>
      this._outdatedOutputs().filter(
        output => (this._jobs.shows(output, id) || idsOf(output).includes(id)) && this._jobs.isEndMissing(output)
      );
    if (this._panel.context.contentsModel?.writable === false || incomplete().length === 0) {
      return null;
    }
    return () => incomplete().forEach(writeEnd);
  }

  /** Return the outputs of jobs and batches as they would be saved. */
  private _outputs(): JobOutput[] {
    const outputs = [...jobOutputs(this._model)];
    return this._model.collaborative ? outputs.map(asInDocument) : outputs;
  }

  /** Return the outputs that are out of date, with their new data. */
  private _outdatedOutputs(): (JobOutput & { updated: OutputData })[] {
    return this._outputs().flatMap(output => {
      const updated = this._jobs.updatedData(output);
      return updated === null ? [] : [{ ...output, updated }];
    });
  }

  private readonly _jobs: NotebookJobs;
  private readonly _lease: SaveLease;
  private readonly _retryListeners: readonly Disposable[];
  /** Jobs and batches that this page submitted, by running a cell or by a retry, until they have ended. */
  private readonly _ran = new Set<string>();
  private _lookTimer: ReturnType<typeof setTimeout> | undefined;
  private _saveTimer: ReturnType<typeof setTimeout> | undefined;
  private _writeTimer: ReturnType<typeof setTimeout> | undefined;
  private _localChanges: Disposable | undefined;
  private readonly _saveQueue: Disposable;
}

/** Write one output. A cell of a crafted document that cannot be written must not prevent the others. */
function writeEnd({ cell, index, updated }: JobOutput & { updated: OutputData }): void {
  try {
    writeShared(cell, index, updated);
  } catch (error) {
    console.warn('jupyter_bgstream: an answer was not written into the document', error);
  }
}

/**
 * Queue a notebook's saves: this extension's, autosave and the user's. With two at a time Lab asks whether to
 * overwrite another user's change, because the second finds on the disk what the first has just written.
 */
function queueSaves(context: { save(): Promise<void> }): Disposable {
  const own = Object.getOwnPropertyDescriptor(context, 'save');
  const save = context.save.bind(context);
  let last: Promise<unknown> = Promise.resolve();
  context.save = () => {
    const next = last.then(save);
    last = next.catch(() => undefined); // the caller of this save gets the error
    return next;
  };
  return {
    dispose: () => {
      if (own) {
        Object.defineProperty(context, 'save', own);
      } else {
        Reflect.deleteProperty(context, 'save'); // the method of the class applies again
      }
    }
  };
}
