/** Writes ends of jobs into a shared document, in the one page to which the server gives the lease. */

import type { CodeCellModel } from '@jupyterlab/cells';

import type { Disposable } from '../wire/jobFeed';
import type { JobOutput } from './findOutputs';
import { batchOf, bundlesOf, type OutputData } from './mimebundle';

/** A page without the lease checks again: the other page's write arrives soon, unless that page was closed. */
const CHECK_AGAIN = 2000; // ms
const LONGEST = 60_000; // ms

export class SaveLease {
  /**
   * @param mayWrite asks the server for the right to write.
   * @param toWrite returns a function that writes, or null if the document is complete.
   */
  constructor(
    private readonly _mayWrite: (id: string) => Promise<boolean>,
    private readonly _toWrite: (id: string) => (() => void) | null
  ) {}

  dispose(): void {
    this._asked.forEach(timer => clearTimeout(timer));
    this._asked.clear();
    this._disposed = true;
  }

  /** Ensure that the end of a job or batch is written, by this page or another. */
  ask(id: string): void {
    if (!this._asked.has(id)) {
      this._asked.set(id, undefined);
      void this._try(id, CHECK_AGAIN);
    }
  }

  private async _try(id: string, pause: number): Promise<void> {
    if (this._toWrite(id) !== null) {
      const granted = await this._mayWrite(id);
      if (this._disposed) {
        return;
      }
      const write = this._toWrite(id);
      if (write !== null && !granted) {
        this._asked.set(
          id,
          setTimeout(() => void this._try(id, Math.min(2 * pause, LONGEST)), pause)
        );
        return;
      }
      write?.();
    }
    this._asked.delete(id);
  }

  private readonly _asked = new Map<string, ReturnType<typeof setTimeout> | undefined>();
  private _disposed = false;
}

/** The part of an output's map that is used here. */
interface OutputMap {
  set(name: string, value: unknown): void;
}

/**
 * The part of a shared code cell that is used here; its public interface lacks the outputs. Each output is a map or plain
 * JSON. The document may be crafted, and its JSON may have any shape.
 */
interface SharedOutputs {
  transact(change: () => void, undoable: boolean): void;
  updateOutputs(start: number, end: number, outputs: unknown[]): void;
  youtputs: { get(index: number): unknown; toJSON(): ({ data?: OutputData | null } | null)[] };
}

/**
 * Write into the shared document without an undo entry, and without replacing the output if that is possible.
 *
 * jupyter-collaboration has a map for each output. jupyter-server-documents, whose server writes the outputs of running
 * cells, has plain JSON, in which no value can be set: then all outputs of the cell are replaced once. A single new
 * output would come last in every page, because pages always append new outputs. The outputs are replaced as this page
 * has them, with adjacent streams joined: pages cannot insert them separately.
 */
export function writeShared(cell: CodeCellModel, index: number, data: OutputData): void {
  const shared = cell.sharedModel as unknown as SharedOutputs;
  const outputs = shared.youtputs.toJSON();
  const place = placeInDocument(cell, index, outputs);
  if (place === undefined) {
    return;
  }
  const output = shared.youtputs.get(place);
  if (isMap(output)) {
    shared.transact(() => output.set('data', data), false);
  } else {
    const replaced = cell.outputs.toJSON().map((each, i) => (i === index ? { ...each, data } : each));
    shared.transact(() => {
      // Add the new ones behind the old ones: a page removes outputs from its beginning, as many as the document does.
      shared.updateOutputs(outputs.length, outputs.length, replaced);
      shared.updateOutputs(0, outputs.length, []);
    }, false);
  }
}

/**
 * Return an output as the shared document has it. A page does not apply changes of an output's map to its own outputs,
 * so these would always lack the end.
 */
export function asInDocument(output: JobOutput): JobOutput {
  const { cell, index } = output;
  const outputs = (cell.sharedModel as unknown as SharedOutputs).youtputs.toJSON();
  const data = outputs[placeInDocument(cell, index, outputs) ?? -1]?.data;
  return data == null ? output : { ...output, data, jobs: bundlesOf(data), batch: batchOf(data) };
}

/** Find an output of a page in the document: a page joins outputs that are separate in the document. */
function placeInDocument(cell: CodeCellModel, index: number, outputs: readonly unknown[]): number | undefined {
  const here = Array.from({ length: cell.outputs.length }, (_, i) => keyOf(cell.outputs.get(i).toJSON()));
  const before = here.slice(0, index).filter(key => key === here[index]).length;
  return outputs.flatMap((output, i) => (keyOf(output) === here[index] ? [i] : []))[before];
}

/** Return whether this is a map: JSON can have a member of any name, but no function. */
function isMap(output: unknown): output is OutputMap {
  return typeof (output as Partial<OutputMap> | null)?.set === 'function';
}

/** The jobs, or the batch, of an output. */
function keyOf(output: unknown): string {
  const data = (output as { data?: OutputData | null } | null)?.data ?? {};
  return JSON.stringify([bundlesOf(data).map(({ id }) => id), batchOf(data)?.id]);
}

/** The part of a shared notebook's document that is used here. */
interface SharedDocument {
  ydoc?: {
    on(event: 'afterTransaction', listener: (transaction: Transaction) => void): void;
    off(event: 'afterTransaction', listener: (transaction: Transaction) => void): void;
    getArray(name: string): unknown;
  };
}

interface Transaction {
  local: boolean;
  changedParentTypes: { has(type: unknown): boolean };
}

/** Call back whenever this page has changed the cells of a shared notebook, which its server saves. */
export function onLocalChange(notebook: unknown, listener: () => void): Disposable {
  const { ydoc } = notebook as SharedDocument;
  const cells = ydoc?.getArray('cells');
  const hear = ({ local, changedParentTypes }: Transaction): void => {
    if (local && changedParentTypes.has(cells)) {
      listener();
    }
  };
  ydoc?.on('afterTransaction', hear);
  return { dispose: () => ydoc?.off('afterTransaction', hear) };
}
