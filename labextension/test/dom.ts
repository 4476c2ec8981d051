import { vi } from 'vitest';

import type { Markdown } from '../src/render/textPane';
import type { Followed } from '../src/wire/jobFeed';
import {
  type Answer,
  apply,
  applyAttempts,
  applyTimes,
  type Attempt,
  EMPTY_ANSWER,
  fold,
  NO_TIMES
} from '../src/wire/fold';
import type { EndCounts, BatchInfo, WireEvent } from '../src/wire/types';

/** What jsdom does not have: frames that come by themselves, and the question who is in sight. */
export function fakeScreen(): { intersect: (isIntersecting: boolean) => void } {
  const observers = new Set<IntersectionObserverCallback>();
  vi.stubGlobal(
    'IntersectionObserver',
    class {
      constructor(private readonly _callback: IntersectionObserverCallback) {
        observers.add(_callback);
      }
      observe(): void {
        // Nothing is in sight before the test says so.
      }
      disconnect(): void {
        observers.delete(this._callback);
      }
    }
  );
  return {
    intersect: isIntersecting =>
      observers.forEach(each => each([{ isIntersecting } as IntersectionObserverEntry], null as never))
  };
}

export function setVisibility(state: DocumentVisibilityState): void {
  vi.spyOn(document, 'visibilityState', 'get').mockReturnValue(state);
  document.dispatchEvent(new Event('visibilitychange'));
}

/** Markdown that shows how it was called: each render takes a moment. */
export class SlowMarkdown implements Markdown {
  readonly rendered: string[] = [];
  /** Hosts that are being rendered into, with how many renders at a time. */
  readonly busy = new Map<HTMLElement, number>();
  mostAtOnce = 0;

  async render(host: HTMLElement, text: string): Promise<void> {
    this.rendered.push(text);
    this.busy.set(host, (this.busy.get(host) ?? 0) + 1);
    this.mostAtOnce = Math.max(this.mostAtOnce, this.busy.get(host)!);
    await Promise.resolve();
    host.textContent = text;
    this.busy.set(host, this.busy.get(host)! - 1);
  }
}

/** Let frames and timers run. */
export async function frames(ms = 500): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

export function state(events: WireEvent[], more: Partial<Followed> = {}): Followed {
  const answer = events.length > 0 ? fold(events) : EMPTY_ANSWER;
  return {
    answer,
    times: events.reduce(applyTimes, NO_TIMES),
    attempts: events.reduce<[readonly Attempt[], Answer]>(
      ([attempts, before], event) => [applyAttempts(attempts, before, event), apply(before, event)],
      [[], EMPTY_ANSWER]
    )[0],
    cursor: events.length > 0 ? `c${answer.seq}` : null,
    closed: false,
    online: true,
    trouble: null,
    denial: null,
    ...more
  };
}

const at = Date.UTC(2026, 0, 1) / 1000;

/** A log, from what happens in it. */
export function log(...types: (Record<string, unknown> & { type: WireEvent['type'] })[]): WireEvent[] {
  let attempt = 0;
  return types.map((event, i) => {
    attempt += event.type === 'attempt' ? 1 : 0;
    return { seq: i + 1, attempt, at: at + i, ...event } as WireEvent;
  });
}

/** A batch of three, of which so many have ended. */
export function batchOf(counts: Partial<EndCounts>, more: Partial<BatchInfo> = {}): BatchInfo {
  const all = { completed: 0, failed: 0, cancelled: 0, interrupted: 0, ...counts };
  const total = more.total ?? 3;
  const over = all.completed + all.failed + all.cancelled + all.interrupted >= total;
  return {
    id: 'g',
    status: !over
      ? 'running'
      : all.failed > 0
        ? 'failed'
        : all.interrupted > 0
          ? 'interrupted'
          : all.cancelled > 0
            ? 'cancelled'
            : 'completed',
    title: 'T',
    total,
    submitted: total,
    counts: all,
    running: 0,
    waiting: 0,
    queued: 0,
    usage: { input_tokens: null, output_tokens: null },
    cost: null,
    concurrency: null,
    paused: null,
    source: { notebook: null, cell: null, kernel: null },
    created_at: at,
    started_at: at,
    ended_at: over ? at + 9 : null,
    ...more
  };
}
