/** The speed of a batch, measured from its recent progress; unknown at first. */

import type { EndCounts } from '../wire/types';

/** The progress at one time. */
export interface Progress {
  /** Unix seconds, by the page's clock. */
  at: number;
  ended: number;
  /** Output tokens of all; null while that is unknown. */
  tokens: number | null;
}

/** The window of the measurement: at least this long and with at least so many ends. */
const WINDOW = 30; // s
const ENOUGH_ENDS = 30;
/** Shorter measurements are not used. */
const LEAST = 5; // s
const LEAST_ENDS = 3;
const LEAST_TOKENS = 3; // s
/** Nothing has ended for long: at least this, and so many times what it usually takes. */
const STALLED = 60; // s
const STALLED_TIMES = 5;
const MOST_SAMPLES = 300;

export class BatchRate {
  note(now: Progress): void {
    const last = this._seen.at(-1);
    if (last !== undefined && (now.ended < last.ended || now.at < last.at)) {
      this._seen = []; // some jobs were retried, or the clock was set
    }
    if (last?.ended !== now.ended) {
      this._changed = now.at;
    }
    this._seen.push(now);
    const kept = this._seen.findLastIndex(({ at, ended }) => now.at - at >= WINDOW && now.ended - ended >= ENOUGH_ENDS);
    this._seen.splice(0, Math.max(kept, 0));
    if (this._seen.length > MOST_SAMPLES) {
      this._seen = this._seen.filter((sample, i) => i % 2 === 0 || sample === now);
    }
  }

  /** Return the seconds until `more` rows have ended; null if that is unknown. */
  left(more: number, at: number): number | null {
    const { ended, seconds } = this._lately(at);
    return ended < LEAST_ENDS || seconds < LEAST || this.stalled(at) !== null ? null : (more * seconds) / ended;
  }

  /** Return the output tokens per second; null if that is unknown. */
  tokens(at: number): number | null {
    const first = this._seen.find(sample => sample.tokens !== null && at - sample.at <= WINDOW);
    const last = this._seen.at(-1);
    if (first?.tokens == null || last?.tokens == null || at - first.at < LEAST_TOKENS || last.tokens < first.tokens) {
      return null;
    }
    return (last.tokens - first.tokens) / (at - first.at);
  }

  /** Return for how many seconds no row has ended; null unless that is long. */
  stalled(at: number): number | null {
    const since = at - this._changed;
    const { ended, seconds } = this._lately(this._changed);
    const usual = ended > 0 ? seconds / ended : 0;
    return since >= Math.max(STALLED, STALLED_TIMES * usual) ? since : null;
  }

  private _lately(at: number): { ended: number; seconds: number } {
    const [first, last] = [this._seen.at(0), this._seen.at(-1)];
    return first === undefined || last === undefined
      ? { ended: 0, seconds: 0 }
      : { ended: last.ended - first.ended, seconds: at - first.at };
  }

  /** Recent progress, oldest first. */
  private _seen: Progress[] = [];
  /** Time of the last change of the number of ended jobs. */
  private _changed = Infinity;
}

export function endedOf({ completed, failed, cancelled, interrupted }: EndCounts): number {
  return completed + failed + cancelled + interrupted;
}
