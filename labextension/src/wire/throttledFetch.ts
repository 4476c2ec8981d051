/** Reads of a list of the server, throttled however many hints come. */

/** A list is read at most this often. */
const SPACING = 300; // ms
/** While they keep coming, as those of a large batch do, the pauses grow up to this. */
const LONGEST_SPACING = 2400; // ms

/** Reads a list: never twice at a time, with a pause after it, and once more if it was asked for meanwhile. */
export class ThrottledFetch {
  constructor(
    private readonly _read: () => Promise<void>,
    private readonly _settled: () => void
  ) {}

  /** Why the last reading failed, or null. */
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
