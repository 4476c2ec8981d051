/** Writes into a document that several pages share: the server elects the one page that does. */

import type { CodeCellModel } from '@jupyterlab/cells';

import type { Disposable } from '../wire/feed';
import type { JobOutput } from './jobOutputs';
import { batchOf, bundlesOf, type OutputData } from './mimebundle';

/** A page that is not elected checks again: the other page's write arrives within moments, unless it was closed. */
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
 * The part of a shared code cell that is used here; its public interface lacks the outputs. Each is a map of its own, or plain
 * JSON. The document may be crafted, and its JSON of any shape.
 */
interface SharedOutputs {
  transact(change: () => void, undoable: boolean): void;
  updateOutputs(start: number, end: number, outputs: unknown[]): void;
  youtputs: { get(index: number): unknown; toJSON(): ({ data?: OutputData | null } | null)[] };
}

/**
 * Write into the shared document without an undo entry, and without replacing the output if that is possible.
 *
 * jupyter-collaboration has a map for each output. jupyter-server-documents, whose server writes the outputs of what
 * runs, has plain JSON, of which nothing can be set: then all outputs of the cell are replaced once. One alone would
 * come last in every page, for there a new output is always appended. They are replaced as this page has them, where
 * adjacent streams are one: pages cannot insert them apart.
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
      // The new ones come behind the old ones, for a page removes as many from its beginning as the document has.
      shared.updateOutputs(outputs.length, outputs.length, replaced);
      shared.updateOutputs(0, outputs.length, []);
    }, false);
  }
}

/**
 * Return an output as the shared document has it. A page does not take over data that were set in an output's map: its
 * own outputs would lack the end forever.
 */
export function asInDocument(output: JobOutput): JobOutput {
  const { cell, index } = output;
  const outputs = (cell.sharedModel as unknown as SharedOutputs).youtputs.toJSON();
  const data = outputs[placeInDocument(cell, index, outputs) ?? -1]?.data;
  return data == null ? output : { ...output, data, jobs: bundlesOf(data), batch: batchOf(data) };
}

/** Find an output of a page in the document: a page joins outputs that the document has apart. */
function placeInDocument(cell: CodeCellModel, index: number, outputs: readonly unknown[]): number | undefined {
  const here = Array.from({ length: cell.outputs.length }, (_, i) => keyOf(cell.outputs.get(i).toJSON()));
  const before = here.slice(0, index).filter(key => key === here[index]).length;
  return outputs.flatMap((output, i) => (keyOf(output) === here[index] ? [i] : []))[before];
}

/** JSON may have a member of any name, but none that is a function. */
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

/** Call back whenever something in this page has changed the cells of a shared notebook; its server saves that. */
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
