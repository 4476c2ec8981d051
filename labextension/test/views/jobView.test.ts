// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { JobView } from '../../src/views/jobView';
import type { Followed, Follower, JobFeed } from '../../src/wire/jobFeed';
import type { Chains } from '../../src/wire/retryChains';
import type { Status } from '../../src/wire/types';
import { fakeScreen, frames, log, setVisibility, SlowMarkdown, state } from '../dom';

let screen: ReturnType<typeof fakeScreen>;
let tell: (state: Followed) => void;
let view: JobView;
const source = {
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

const retries = { retry: vi.fn<Chains['retry']>(() => Promise.resolve()) };

const begin = [{ type: 'queued' }, { type: 'attempt' }] as const;
const text = (text: string) => ({ type: 'delta', channel: 'text', text }) as const;
const done = { type: 'completed', finish_reason: 'stop' } as const;

function open(saved: { text: string; status: Status } | null = null): void {
  const before = document.createElement('div');
  view = new JobView({ job: 'j1', model: 'p/m', saved, before, source, retries, markdown: new SlowMarkdown() });
  document.body.append(view.node);
}

const words = (name: string): string => view.node.querySelector(`.jp-bgstream-${name}`)!.textContent;
const retry = (): HTMLButtonElement => view.node.querySelector<HTMLButtonElement>('[data-action=retry]')!;
const stop = (): HTMLButtonElement => view.node.querySelector<HTMLButtonElement>('[data-action=stop]')!;

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

describe('the state line', () => {
  it.each([
    ['Connecting…', 'connecting', state([])],
    ['Queued', 'queued', state(log({ type: 'queued' }))],
    ['Running', 'thinking', state(log(...begin))],
    ['Running', 'streaming', state(log(...begin, text('Hi')))],
    [
      'Waiting',
      'waiting',
      state(log(...begin, { type: 'waiting', until: Date.UTC(2026, 0, 1, 0, 0, 22) / 1000, code: 'x', message: 'y' }))
    ],
    ['Done', 'completed', state(log(...begin, text('Hi'), done))],
    ['Cut off', 'completed', state(log(...begin, { type: 'completed', finish_reason: 'length' }))],
    ['Failed', 'failed', state(log(...begin, { type: 'failed', code: 'truncated', message: 'It broke off.' }))],
    ['Stopped', 'cancelled', state(log({ type: 'queued' }, { type: 'cancelled' }))],
    [
      'Interrupted',
      'interrupted',
      state(log(...begin, { type: 'interrupted', code: 'server_died', message: 'It died.' }))
    ]
  ])('shows %s', (said, shown, followed) => {
    open();
    tell(followed);
    expect(words('state')).toBe(said);
    expect(view.node.dataset).toMatchObject({ job: 'j1', state: shown, online: 'true' });
    expect(words('model')).toBe('p/m');
    expect(stop().hidden).toBe(!['queued', 'thinking', 'streaming', 'waiting'].includes(shown));
    expect(retry().hidden).toBe(!['completed', 'failed', 'cancelled', 'interrupted'].includes(shown));
  });

  it('counts the time and the tokens', () => {
    open();
    tell(state(log(...begin, { type: 'usage', input_tokens: 3, output_tokens: 1234 })));
    expect(words('elapsed')).toBe('9 s');
    vi.advanceTimersByTime(61_000);
    expect(words('elapsed')).toBe('1 min 10 s');
    expect(words('tokens')).toBe('1,234 tokens');
    tell(state(log(...begin, text('x'), done)));
    vi.advanceTimersByTime(60_000);
    expect(words('elapsed')).toBe('2 s');
  });

  it('counts down to the next attempt, shows the reason, and draws nothing else', async () => {
    open();
    const until = Date.UTC(2026, 0, 1, 0, 0, 22) / 1000;
    const message = `The provider is busy. ${'Its essay about that. '.repeat(20)}`;
    tell(state(log(...begin, text('Hi'), { type: 'waiting', until, code: 'rate_limited', message })));
    await frames();
    const changes = new MutationObserver(() => undefined);
    changes.observe(view.node, { subtree: true, childList: true, characterData: true, attributes: true });
    expect(words('elapsed')).toBe('Next attempt in 12 s');
    expect(words('problem')).toMatch(/^The provider is busy\. .{50,140}… rate_limited$/);
    expect(view.node.querySelector<HTMLElement>('.jp-bgstream-problem')!.title).toBe(message);
    vi.advanceTimersByTime(5000);
    expect(words('elapsed')).toBe('Next attempt in 7 s');
    const changed = changes.takeRecords().map(({ target }) => (target as HTMLElement).className);
    expect(new Set(changed)).toEqual(new Set(['jp-bgstream-elapsed']));
    vi.advanceTimersByTime(8000);
    expect(words('elapsed')).toBe('Next attempt soon');
  });

  it('shows that a job waits for a server with its provider', () => {
    open();
    tell(state(log({ type: 'queued' }, { type: 'waiting', until: 1, code: 'no_provider', message: 'Nobody.' })));
    expect(words('elapsed')).toBe('Waiting for a server with this provider');
    expect(words('problem')).toBe('Nobody. no_provider');
    expect([stop().hidden, retry().hidden]).toEqual([false, true]);
  });

  it('shows the error message, and the code in small', () => {
    open();
    tell(state(log(...begin, { type: 'failed', code: 'truncated', message: 'It broke off.' })));
    const problem = view.node.querySelector<HTMLElement>('.jp-bgstream-problem')!;
    expect(problem.textContent).toBe('It broke off. truncated');
    expect(problem.querySelector('small')!.textContent).toBe('truncated');
  });

  it('shows a lost connection without failing the job', () => {
    open();
    tell(state(log(...begin, text('Hi')), { online: false }));
    expect(view.node.dataset).toMatchObject({ state: 'streaming', online: 'false' });
    expect(words('connection')).toBe('Reconnecting…');
    tell(state(log(...begin, text('Hi'))));
    expect(words('connection')).toBe('');
  });
});

describe('a page that is signed out', () => {
  const since = Date.UTC(2026, 0, 1, 0, 0, 12) / 1000;
  const denial = { code: 'signed_out' as const, message: 'Sign in again: reload this page', since };
  const running = state(log(...begin, text('Hi')));

  it('shows what to do, and stops its clock', () => {
    open();
    tell(running);
    vi.advanceTimersByTime(5000);
    expect(words('elapsed')).toBe('14 s');
    tell({ ...running, online: false, denial });
    expect(words('connection')).toBe('Sign in again: reload this page');
    expect(words('elapsed')).toBe('11 s'); // the last time at which it was known to run
    vi.advanceTimersByTime(60_000);
    tell({ ...running, online: false, denial });
    expect(words('elapsed')).toBe('11 s');
    expect(view.node.dataset).toMatchObject({ state: 'streaming', online: 'false', denial: 'signed_out' });
    tell(running);
    expect(words('connection')).toBe('');
    expect(words('elapsed')).toBe('1 min 14 s');
    expect(view.node.dataset.denial).toBeUndefined();
  });

  it('cannot stop a job', async () => {
    open();
    tell({ ...running, online: false, denial });
    expect(stop().getAttribute('aria-disabled')).toBe('true');
    stop().click();
    await frames(0);
    expect(source.cancel).not.toHaveBeenCalled();
  });

  it('cannot retry a job', async () => {
    open();
    const failed = log(...begin, { type: 'failed', code: 'truncated', message: 'It broke off.' });
    tell(state(failed, { closed: true, online: false, denial }));
    expect(retry().getAttribute('aria-disabled')).toBe('true');
    retry().click();
    await frames(0);
    expect(retries.retry).not.toHaveBeenCalled();
  });

  it('shows no countdown to the next attempt', () => {
    open();
    const until = since + 10;
    const waiting = state(log(...begin, { type: 'waiting', until, code: 'rate_limited', message: 'Busy.' }));
    tell({ ...waiting, online: false, denial });
    expect(words('elapsed')).toBe('');
  });

  it('is shown as not connected', () => {
    open({ text: 'Saved.', status: 'running' });
    tell(state([], { online: false, denial }));
    expect(words('state')).toBe('Not connected');
    expect(words('connection')).toBe('Sign in again: reload this page');
  });

  it('shows no connection message below a complete answer', () => {
    open();
    tell(state(log(...begin, text('Hi'), done), { closed: true, online: false, denial }));
    expect(words('connection')).toBe('');
    expect(retry().getAttribute('aria-disabled')).toBe('true');
  });
});

describe('the stop button', () => {
  it('sends one request, and shows that until the end', async () => {
    open();
    tell(state(log(...begin)));
    stop().click();
    stop().click();
    await frames(0);
    expect(source.cancel).toHaveBeenCalledExactlyOnceWith('j1');
    expect(words('state')).toBe('Stopping…');
    tell(state(log(...begin, text('last words'))));
    expect(words('state')).toBe('Stopping…');
    tell(state(log(...begin, { type: 'cancelled' })));
    expect(words('state')).toBe('Stopped');
  });

  it('shows a failed request, and can be used again', async () => {
    source.cancel.mockRejectedValueOnce(new Error('The server cannot be reached.'));
    open();
    tell(state(log(...begin)));
    stop().click();
    await frames(0);
    expect(words('problem')).toContain('Not stopped: The server cannot be reached.');
    expect(stop().textContent).toBe('Stop');
    stop().click();
    expect(source.cancel).toHaveBeenCalledTimes(2);
  });
});

describe('the retry button', () => {
  const cut = (): Followed =>
    state(log(...begin, text('Half'), { type: 'failed', code: 'truncated', message: 'Broken.' }), { closed: true });

  it('sends one request, with the cursor of the seen end', async () => {
    open();
    tell(cut());
    retry().click();
    retry().click();
    expect(words('retry')).toBe('Retrying…');
    await frames(0);
    expect(retries.retry).toHaveBeenCalledExactlyOnceWith('j1', 'c4');
  });

  it('shows a failed request, and can be used again', async () => {
    retries.retry.mockRejectedValueOnce(new Error('The queue is full.'));
    open();
    tell(cut());
    retry().click();
    await frames(0);
    expect(words('problem')).toBe('Not retried: The queue is full. not_retried');
    retry().click();
    await frames(0);
    expect(retries.retry).toHaveBeenCalledTimes(2);
    expect(words('problem')).toBe('Broken. truncated');
  });

  it('gets the focus of the stop button', () => {
    open();
    tell(state(log(...begin)));
    stop().focus();
    tell(state(log(...begin, { type: 'cancelled' })));
    expect(document.activeElement).toBe(retry());
  });

  it('keeps its keys from the notebook', () => {
    open();
    tell(cut());
    const heard: string[] = [];
    view.node.parentElement!.addEventListener('keydown', ({ key }) => heard.push(key));
    retry().dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
    retry().dispatchEvent(new KeyboardEvent('keydown', { key: 's', ctrlKey: true, bubbles: true }));
    expect(heard).toEqual(['s']);
  });

  it('is hidden for a job of another server', () => {
    open({ text: 'saved', status: 'failed' });
    tell(state([], { trouble: { code: 'not_found', message: 'No.' } }));
    expect(retry().hidden).toBe(true);
  });
});

describe('the saved text', () => {
  it('is shown first, and replaced by the log', async () => {
    open({ text: 'partial, from the file', status: 'running' });
    await frames();
    expect(words('text')).toBe('partial, from the file');
    tell(state([]));
    await frames();
    expect(words('text')).toBe('partial, from the file');
    tell(state(log(...begin, text('partial, and more'))));
    await frames();
    expect(words('text')).toBe('partial, and more');
  });

  it('stays when this server does not know the job', async () => {
    open({ text: 'saved', status: 'completed' });
    tell(state([], { trouble: { code: 'not_found', message: 'No.' } }));
    await frames();
    expect(view.node.dataset.state).toBe('missing');
    expect(words('text')).toBe('saved');
    expect(words('problem')).toContain('This job is not on this server; saved text shown.');
    expect(stop().hidden).toBe(true);
  });

  it('of an ended job shows its end before the server responds', () => {
    open({ text: 'saved', status: 'failed' });
    expect(view.node.dataset.state).toBe('failed');
  });
});

describe('a new attempt', () => {
  const died = { type: 'waiting', until: 1, code: 'server_died', message: 'It died.' } as const;

  it.each([
    ['server_died', 'Attempt 2 · after the server died'],
    ['server_stopped', 'Attempt 2 · after the server was stopped'],
    ['rate_limited', 'Attempt 2 · after the provider was busy'],
    ['something_new', 'Attempt 2']
  ])('after %s is labelled', (code, said) => {
    open();
    tell(state(log(...begin, { ...died, code })));
    expect(words('try')).toBe('');
    tell(state(log(...begin, { ...died, code }, { type: 'attempt' })));
    expect(words('try')).toBe(said);
    expect(words('problem').trim()).toBe('');
  });

  it('that resumes the text is not labelled', () => {
    open();
    tell(state(log(...begin, text('Hi'), died, { type: 'attempt', resumed: true })));
    expect(view.node.querySelector<HTMLElement>('.jp-bgstream-try')!.hidden).toBe(true);
  });

  it('keeps the earlier text, drawn as Markdown when opened, and kept open', async () => {
    open();
    tell(state(log(...begin, text('*First*'), died, { type: 'attempt' })));
    const folded = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-attempt')!;
    expect(folded.textContent).toBe('Text of attempt 1');
    folded.open = true;
    await frames();
    expect(folded.querySelector('.jp-RenderedMarkdown .jp-bgstream-block')!.textContent).toBe('*First*');
    tell(state(log(...begin, text('*First*'), died, { type: 'attempt' }, text('Second'), died, { type: 'attempt' })));
    expect(folded.isConnected).toBe(true);
    expect([...view.node.querySelectorAll('.jp-bgstream-attempt')].map(each => each.textContent)).toEqual([
      'Text of attempt 1*First*',
      'Text of attempt 2'
    ]);
  });
});

describe('the seen message', () => {
  const ended = (): Followed => state(log(...begin, text('Hi'), done), { closed: true });

  it('is sent once, when the end is drawn on the screen of a visible page', async () => {
    open();
    screen.intersect(true);
    tell(ended());
    expect(source.seen).not.toHaveBeenCalled(); // not yet drawn
    await frames();
    expect(source.seen).toHaveBeenCalledExactlyOnceWith('j1', 'c4');
    tell(ended());
    setVisibility('visible');
    await frames();
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('is not sent from a hidden page', async () => {
    setVisibility('hidden');
    open();
    screen.intersect(true);
    tell(ended());
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
    setVisibility('visible');
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('is not sent for an end below the fold', async () => {
    open();
    screen.intersect(false);
    tell(ended());
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
    screen.intersect(true);
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('is not sent before the end', async () => {
    open();
    screen.intersect(true);
    tell(state(log(...begin, text('Hi'))));
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
  });
});

it('disposal ends the follow and does not stop the job', () => {
  open();
  tell(state(log(...begin)));
  view.dispose();
  expect(source.left).toBe(1);
  expect(source.cancel).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
