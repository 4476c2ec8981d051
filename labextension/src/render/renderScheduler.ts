/**
 * The page's one scheduler of rendering.
 *
 * All streaming answers share 8 ms of each frame, and each is drawn at most every 100 ms; an answer that is slow to draw
 * is drawn less often. In a hidden page nothing is drawn, since there are no frames.
 */

const BUDGET = 8; // ms of a frame
const SPACING = 100; // ms between two drawings of one thing
const PATIENCE = 200; // ms for which one drawing may delay the others

export interface RenderTask {
  paint(): Promise<void>;
}

export class RenderScheduler {
  /** Draw this soon. Repeated requests before it is drawn count as one. */
  request(thing: RenderTask): void {
    this._waiting.add(thing);
    this._schedule();
  }

  cancel(thing: RenderTask): void {
    this._waiting.delete(thing);
  }

  private _schedule(): void {
    if (!this._scheduled) {
      this._scheduled = true;
      requestAnimationFrame(() => void this._frame());
    }
  }

  private async _frame(): Promise<void> {
    const start = performance.now();
    for (const thing of [...this._waiting]) {
      if (performance.now() - start > BUDGET) {
        break;
      }
      if ((this._due.get(thing) ?? 0) > start) {
        continue;
      }
      // Requeue at the end: the same task must not miss its turn each time the frame budget runs out.
      this._waiting.delete(thing);
      await this._paint(thing);
    }
    this._scheduled = false;
    if (this._waiting.size > 0) {
      this._schedule();
    }
  }

  private async _paint(thing: RenderTask): Promise<void> {
    const start = performance.now();
    try {
      await Promise.race([thing.paint(), new Promise(resolve => setTimeout(resolve, PATIENCE))]);
    } catch (error) {
      console.error('jupyter_bgstream: an answer could not be drawn', error);
    }
    const end = performance.now();
    this._due.set(thing, start + Math.max(SPACING, 4 * (end - start)));
  }

  private readonly _waiting = new Set<RenderTask>();
  /** Time from which it may be drawn again. */
  private readonly _due = new WeakMap<RenderTask, number>();
  private _scheduled = false;
}

/** Each widget has this code: the first one makes the page's scheduler. */
const HERE = Symbol.for('jupyter_bgstream/renderScheduler/1');
const page = globalThis as { [HERE]?: Pick<RenderScheduler, 'request' | 'cancel'> };

/** Return the scheduler of this page. */
export const renderScheduler = (page[HERE] ??= new RenderScheduler());
