/** Throttled reads of a list of the server, for any number of hints. */

/** Shortest pause between two reads of a list. */
const SPACING = 300; // ms
/** While hints keep arriving, as from a large batch, the pauses grow up to this. */
const LONGEST_SPACING = 2400; // ms

/** Reads a list: one read at a time, a pause after it, and another read if one was requested meanwhile. */
export class ThrottledFetch {
  constructor(
    private readonly _read: () => Promise<void>,
    private readonly _settled: () => void
  ) {}

  /** Why the last read failed, or null. */
  failure: string | null = null;

  ask(): void {
    if (this._busy) {
      this._again = true;
    } else {
      this._busy = true;
      void this._run();
    }
  }

  dispose(): void {
    this._again = false;
    clearTimeout(this._pause);
  }

  private async _run(): Promise<void> {
    try {
      await this._read();
      this.failure = null;
    } catch (error) {
      this.failure = (error as Error).message;
    }
    this._settled();
    this._pause = setTimeout(() => {
      this._busy = false;
      this._spacing = this._again ? Math.min(2 * this._spacing, LONGEST_SPACING) : SPACING;
      if (this._again) {
        this._again = false;
        this.ask();
      }
    }, this._spacing);
  }

  private _busy = false;
  private _again = false;
  private _spacing = SPACING;
  private _pause: ReturnType<typeof setTimeout> | undefined;
}
