/** Writing into a document that several pages have open: one of them does, the one that the server elects. */

import type { CodeCellModel } from '@jupyterlab/cells';

import type { Data } from './bundle';

/** Who was not elected looks again: what the other writes comes within moments, unless that page has gone. */
const LOOK_AGAIN = 2000; // ms
const LONGEST = 60_000; // ms

export class Elected {
  /**
   * @param mayWrite asks the server for the right to write.
   * @param toWrite returns what writes, or null if the document has it all.
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

  /** See to it that the end of this is written, here or elsewhere. */
  ask(id: string): void {
    if (!this._asked.has(id)) {
      this._asked.set(id, undefined);
      void this._try(id, LOOK_AGAIN);
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

/** What we use of a shared code cell's outputs; its interface does not show them. */
interface SharedOutputs {
  transact(change: () => void, undoable: boolean): void;
  youtputs: { get(index: number): { set(name: string, value: unknown): void } | undefined };
}

/** Write into the shared document without an undo entry, and without replacing the output. */
export function writeShared(cell: CodeCellModel, index: number, data: Data): void {
  const shared = cell.sharedModel as unknown as SharedOutputs;
  shared.transact(() => shared.youtputs.get(index)?.set('data', data), false);
}
