import { afterEach, beforeEach, vi } from 'vitest';

import { JobView } from '../../src/views/jobView';
import type { Followed, Follower, JobFeed } from '../../src/wire/jobFeed';
import type { Chains } from '../../src/wire/retryChains';
import type { Status } from '../../src/wire/types';
import { fakeScreen, frames, setVisibility, SlowMarkdown } from '../dom';

export let screen: ReturnType<typeof fakeScreen>;
export let tell: (state: Followed) => void;
export let view: JobView;
export const source = {
  left: 0,
  follow: (_: string, follower: Follower) => {
    tell = follower;
    return {
      dispose: () => {
        source.left++;
      }
    };
  },
  cancel: vi.fn<JobFeed['cancel']>(() => Promise.resolve()),
  seen: vi.fn<JobFeed['seen']>()
};

export const retries = { retry: vi.fn<Chains['retry']>(() => Promise.resolve()) };

export const begin = [{ type: 'queued' }, { type: 'attempt' }] as const;
export const text = (text: string) => ({ type: 'delta', channel: 'text', text }) as const;
export const done = { type: 'completed', finish_reason: 'stop' } as const;

export function open(saved: { text: string; status: Status } | null = null): void {
  const before = document.createElement('div');
  view = new JobView({ job: 'j1', model: 'p/m', saved, before, source, retries, markdown: new SlowMarkdown() });
  document.body.append(view.node);
}

export const words = (name: string): string => view.node.querySelector(`.jp-bgstream-${name}`)!.textContent;
export const retry = (): HTMLButtonElement => view.node.querySelector<HTMLButtonElement>('[data-action=retry]')!;
export const stop = (): HTMLButtonElement => view.node.querySelector<HTMLButtonElement>('[data-action=stop]')!;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 0, 0, 10) });
  screen = fakeScreen();
  setVisibility('visible');
  source.left = 0;
  source.cancel.mockReset().mockResolvedValue();
  source.seen.mockReset();
  retries.retry.mockReset().mockResolvedValue();
});

afterEach(async () => {
  view.dispose();
  await frames(1000); // the scheduler is shared by all tests: it must not wait for a frame that never comes
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});
