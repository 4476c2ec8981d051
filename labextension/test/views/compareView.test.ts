// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { CompareView } from '../../src/views/compareView';
import type { Followed, Follower } from '../../src/wire/jobFeed';
import type { Chain } from '../../src/wire/retryChains';
import { fakeScreen, frames, log, setVisibility, SlowMarkdown, state } from '../dom';

let screen: ReturnType<typeof fakeScreen>;
let view: CompareView;
const follows = new Map<string, Follower>();
const chains = new Map<string, (chain: Chain) => void>();
const seen = vi.fn();

const context = {
  source: {
    follow: (job: string, follower: Follower) => {
      follows.set(job, follower);
      return { dispose: () => void follows.delete(job) };
    },
    cancel: () => Promise.resolve(),
    seen
  },
  retries: {
    watch: (job: string, watcher: (chain: Chain) => void) => {
      chains.set(job, watcher);
      return { dispose: () => void chains.delete(job) };
    },
    retry: () => Promise.resolve()
  },
  markdown: new SlowMarkdown()
};

const done = (text: string): Followed =>
  state(
    log(
      { type: 'queued' },
      { type: 'attempt' },
      { type: 'delta', channel: 'text', text },
      { type: 'completed', finish_reason: 'stop' }
    ),
    { closed: true }
  );

beforeEach(() => {
  vi.useFakeTimers();
  screen = fakeScreen();
  setVisibility('visible');
  seen.mockReset();
  view = new CompareView(
    [
      { job: 'a', model: 'p/one', saved: { text: 'Saved one', status: 'running' } },
      { job: 'b', model: 'q/two', saved: null }
    ],
    context
  );
  document.body.append(view.node);
});

afterEach(async () => {
  view.dispose();
  await frames(1000);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const each = (selector: string): string[] =>
  [...view.node.querySelectorAll(selector)].map(({ textContent }) => textContent);

it('each answer is below its model, with its own state', async () => {
  await frames();
  expect(each('h4')).toEqual(['p/one', 'q/two']);
  expect(each('.jp-bgstream-text')).toEqual(['Saved one', '']);
  follows.get('b')!(done('Two.'));
  await frames();
  expect(each('.jp-bgstream-text')).toEqual(['Saved one', 'Two.']);
  expect(each('.jp-bgstream-state')).toEqual(['Connecting…', 'Done']);
});

it('each answer is marked as seen on its own', async () => {
  screen.intersect(true);
  follows.get('b')!(done('Two.'));
  await frames();
  expect(seen.mock.calls).toEqual([['b', 'c4']]);
});

it('the view stays when a save changes its ids to those of retries', () => {
  const link = (id: string) => ({ id, model: 'p/one', status: 'completed' });
  chains.get('a')!([link('a'), link('a2')] as never);
  expect([view.holds(['a2', 'b']), view.holds(['a', 'b'])]).toEqual([true, true]);
  expect([view.holds(['b', 'a']), view.holds(['a']), view.holds(['a', 'b', 'c'])]).toEqual([false, false, false]);
});

it('disposal ends all follows', () => {
  view.dispose();
  expect([follows.size, chains.size]).toEqual([0, 0]);
});
