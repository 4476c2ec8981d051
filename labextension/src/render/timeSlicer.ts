/** Splits long work into short tasks, between which the page draws and handles input. */

const LONGEST = 24; // ms of one task, plus a step that cannot be split

export class TimeSlicer {
  /** Yield to the page if this task has been long; return whether it was. */
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
