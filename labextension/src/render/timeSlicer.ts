/** Long work in short tasks: between them the page draws, and hears keys and clicks. */

const LONGEST = 24; // ms of one task, and what cannot be parted

export class TimeSlicer {
  /** Let the page do what waits, if this has gone on for long; returns whether it did. */
  async pause(): Promise<boolean> {
    if (performance.now() - this._since <= LONGEST) {
      return false;
    }
    await new Promise(resolve => setTimeout(resolve));
    this._since = performance.now();
    return true;
  }

  private _since = performance.now();
}
