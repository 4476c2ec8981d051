// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { AnswerView } from '../../src/views/answerView';
import type { Followed, Follower } from '../../src/wire/jobFeed';
import type { Chain } from '../../src/wire/retryChains';
import { fakeScreen, frames, log, setVisibility, SlowMarkdown, state } from '../dom';

let follows: Map<string, Set<Follower>>;
let tellChain: (chain: Chain) => void;
let view: AnswerView;

const source = {
  follow: (job: string, follower: Follower) => {
    follows.set(job, (follows.get(job) ?? new Set()).add(follower));
    return { dispose: () => void follows.get(job)!.delete(follower) };
  },
  cancel: vi.fn(() => Promise.resolve()),
  seen: vi.fn()
};
const retries = {
  watch: (_: string, watcher: (chain: Chain) => void) => {
    tellChain = watcher;
    return { dispose: vi.fn() };
  },
  retry: vi.fn(() => Promise.resolve())
};

const chain = (...ids: [string, string][]): void =>
  tellChain(ids.map(([id, status]) => ({ id, status, model: 'p/m' })) as never);
const tell = (job: string, followed: Followed): void => follows.get(job)!.forEach(each => each(followed));
const begin = [{ type: 'queued' }, { type: 'attempt' }] as const;
const text = (text: string) => ({ type: 'delta', channel: 'text', text }) as const;
const failed = (words: string): Followed =>
  state(log(...begin, text(words), { type: 'failed', code: 'truncated', message: 'Broken.' }), { closed: true });

const shown = (): HTMLElement => view.node.querySelector<HTMLElement>('.jp-bgstream-view')!;
const retried = (): HTMLDetailsElement[] => [
  ...view.node.querySelectorAll<HTMLDetailsElement>('details.jp-bgstream-retried')
];

beforeEach(() => {
  vi.useFakeTimers();
  fakeScreen();
  setVisibility('visible');
  follows = new Map();
  view = new AnswerView({
    job: 'a',
    model: 'p/m',
    saved: { text: 'Saved.', status: 'failed' },
    source,
    retries,
    markdown: new SlowMarkdown()
  });
  document.body.append(view.node);
});

afterEach(async () => {
  view.dispose();
  await frames(1000);
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('a retry', () => {
  it('is shown in the same place, live, and the old job is no longer followed', async () => {
    tell('a', failed('Half'));
    await frames();
    chain(['a', 'failed'], ['b', 'queued']);
    expect([shown().dataset.job, view.node.querySelectorAll('.jp-bgstream-view').length]).toEqual(['b', 1]);
    expect(shown().dataset.state).toBe('connecting'); // not the end that the file has of the old one
    expect([follows.get('a')!.size, follows.get('b')!.size]).toEqual([0, 1]);
    tell('b', state(log(...begin, text('Whole'))));
    await frames();
    expect(shown().querySelector('.jp-bgstream-text')!.textContent).toBe('Whole');
    expect(view.holds('a') && view.holds('b')).toBe(true);
    expect(view.holds('c')).toBe(false);
  });

  it('is not redrawn at each update of its chain', () => {
    chain(['a', 'failed'], ['b', 'queued']);
    const before = shown();
    chain(['a', 'failed'], ['b', 'completed']);
    expect(shown()).toBe(before);
  });

  it('is labelled, and earlier answers can be opened', async () => {
    chain(['z', 'interrupted'], ['a', 'failed'], ['b', 'running']);
    expect(retried().map(each => each.textContent)).toEqual([
      'Retry of a failed answer',
      'Before that: an interrupted answer'
    ]);
    const [nearest] = retried();
    nearest!.open = true;
    await frames(0);
    tell('a', failed('*Half*'));
    await frames();
    expect(nearest!.querySelector('.jp-bgstream-text')!.textContent).toBe('*Half*');
    // It stays open when another retry comes.
    chain(['z', 'interrupted'], ['a', 'failed'], ['b', 'failed'], ['c', 'running']);
    expect(retried().map(each => [each.dataset.job, each.open])).toEqual([
      ['b', false],
      ['a', true],
      ['z', false]
    ]);
    nearest!.open = false;
    await frames(0);
    expect(follows.get('a')!.size).toBe(0);
  });

  it('of an empty answer shows the reason', async () => {
    chain(['a', 'failed'], ['b', 'running']);
    retried()[0]!.open = true;
    await frames(0);
    tell('a', state(log({ type: 'queued' }, { type: 'failed', code: 'missing_key', message: 'No key.' })));
    await frames();
    expect(retried()[0]!.textContent).toBe('Retry of a failed answerNo key.');
  });

  it('keeps the focus', () => {
    tell('a', failed('Half'));
    shown().querySelector<HTMLElement>('[data-action=retry]')!.focus();
    chain(['a', 'failed'], ['b', 'queued']);
    expect(document.activeElement).toBe(shown());
    chain(['a', 'failed'], ['b', 'failed'], ['c', 'queued']);
    expect(document.activeElement).toBe(shown());
  });

  it('does not take a focus from elsewhere', () => {
    tell('a', failed('Half'));
    chain(['a', 'failed'], ['b', 'queued']);
    expect(document.activeElement).toBe(document.body);
  });

  it('that was deleted is replaced by the answer before it, with its saved text', async () => {
    chain(['a', 'failed'], ['b', 'queued']);
    chain(['a', 'failed']);
    await frames();
    expect([shown().dataset.job, shown().dataset.state]).toEqual(['a', 'failed']);
    expect(shown().querySelector('.jp-bgstream-text')!.textContent).toBe('Saved.');
    expect(retried()).toEqual([]);
  });
});
