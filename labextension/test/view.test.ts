// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Followed, Follower, Source } from '../src/live';
import { JobView } from '../src/view';
import type { Status } from '../src/wire';
import { fakeScreen, frames, log, setVisibility, SlowMarkdown, state } from './dom';

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
  cancel: vi.fn<Source['cancel']>(() => Promise.resolve()),
  seen: vi.fn<Source['seen']>()
};

const begin = [{ type: 'queued' }, { type: 'attempt' }] as const;
const text = (text: string) => ({ type: 'delta', channel: 'text', text }) as const;
const done = { type: 'completed', finish_reason: 'stop' } as const;

function open(saved: { text: string; status: Status } | null = null): void {
  view = new JobView({ job: 'j1', model: 'p/m', saved, source, markdown: new SlowMarkdown() });
  document.body.append(view.node);
}

const words = (name: string): string => view.node.querySelector(`.jp-bgstream-${name}`)!.textContent;
const stop = (): HTMLButtonElement => view.node.querySelector<HTMLButtonElement>('[data-action=stop]')!;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 0, 0, 10) });
  screen = fakeScreen();
  setVisibility('visible');
  source.left = 0;
  source.cancel.mockReset().mockResolvedValue();
  source.seen.mockReset();
});

afterEach(async () => {
  view.dispose();
  await frames(1000); // the painter is the page's: it must not wait for a frame that never comes
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('the state line', () => {
  it.each([
    ['connecting…', 'connecting', state([])],
    ['queued', 'queued', state(log({ type: 'queued' }))],
    ['thinking…', 'thinking', state(log(...begin))],
    ['streaming…', 'streaming', state(log(...begin, text('Hi')))],
    [
      'waiting',
      'waiting',
      state(log(...begin, { type: 'waiting', until: Date.UTC(2026, 0, 1, 0, 0, 22) / 1000, code: 'x', message: 'y' }))
    ],
    ['done', 'completed', state(log(...begin, text('Hi'), done))],
    [
      'done, cut off at the length limit',
      'completed',
      state(log(...begin, { type: 'completed', finish_reason: 'length' }))
    ],
    ['failed', 'failed', state(log(...begin, { type: 'failed', code: 'truncated', message: 'It broke off.' }))],
    ['stopped', 'cancelled', state(log({ type: 'queued' }, { type: 'cancelled' }))],
    [
      'interrupted',
      'interrupted',
      state(log(...begin, { type: 'interrupted', code: 'server_died', message: 'It died.' }))
    ]
  ])('says %s', (said, shown, followed) => {
    open();
    tell(followed);
    expect(words('state')).toBe(said);
    expect(view.node.dataset).toMatchObject({ job: 'j1', state: shown, online: 'true' });
    expect(words('model')).toBe('p/m');
    expect(stop().hidden).toBe(!['queued', 'thinking', 'streaming', 'waiting'].includes(shown));
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

  it('counts down to the next try', () => {
    open();
    const until = Date.UTC(2026, 0, 1, 0, 0, 22) / 1000;
    tell(state(log(...begin, { type: 'waiting', until, code: 'rate_limited', message: 'Busy.' })));
    expect(words('elapsed')).toBe('next try in 12 s');
    vi.advanceTimersByTime(13_000);
    expect(words('elapsed')).toBe('next try soon');
  });

  it('says why it failed: a sentence, and the code in small', () => {
    open();
    tell(state(log(...begin, { type: 'failed', code: 'truncated', message: 'It broke off.' })));
    const problem = view.node.querySelector<HTMLElement>('.jp-bgstream-problem')!;
    expect(problem.textContent).toBe('It broke off. truncated');
    expect(problem.querySelector('small')!.textContent).toBe('truncated');
  });

  it('a lost line is no failed job', () => {
    open();
    tell(state(log(...begin, text('Hi')), { online: false }));
    expect(view.node.dataset).toMatchObject({ state: 'streaming', online: 'false' });
    expect(words('connection')).toBe('reconnecting…');
    tell(state(log(...begin, text('Hi'))));
    expect(words('connection')).toBe('');
  });
});

describe('the stop button', () => {
  it('asks once and says so until the end', async () => {
    open();
    tell(state(log(...begin)));
    stop().click();
    stop().click();
    await frames(0);
    expect(source.cancel).toHaveBeenCalledExactlyOnceWith('j1');
    expect(words('state')).toBe('stopping…');
    tell(state(log(...begin, text('last words'))));
    expect(words('state')).toBe('stopping…');
    tell(state(log(...begin, { type: 'cancelled' })));
    expect(words('state')).toBe('stopped');
  });

  it('says it when that was not possible, and can be used again', async () => {
    source.cancel.mockRejectedValueOnce(new Error('The server cannot be reached.'));
    open();
    tell(state(log(...begin)));
    stop().click();
    await frames(0);
    expect(words('problem')).toContain('Not stopped: The server cannot be reached.');
    expect(stop().textContent).toBe('stop');
    stop().click();
    expect(source.cancel).toHaveBeenCalledTimes(2);
  });
});

describe('the saved text', () => {
  it('is the first paint, and the log replaces it', async () => {
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

  it('of an ended job says its end before the server has', () => {
    open({ text: 'saved', status: 'failed' });
    expect(view.node.dataset.state).toBe('failed');
  });
});

describe('what belongs to the answer', () => {
  it('reasoning is folded', () => {
    open();
    tell(state(log(...begin, { type: 'delta', channel: 'reasoning', text: 'Let me ' })));
    tell(state(log(...begin, { type: 'delta', channel: 'reasoning', text: 'Let me think' })));
    const details = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-reasoning')!;
    expect([details.hidden, details.open, details.textContent]).toEqual([false, false, 'ReasoningLet me think']);
  });

  it('sources are links, of http and https alone', () => {
    open();
    tell(
      state(
        log(
          ...begin,
          { type: 'source', url: 'https://example.org/', title: 'Example' },
          { type: 'source', url: 'javascript:alert(1)', title: 'Bad' }
        )
      )
    );
    const items = [...view.node.querySelectorAll('.jp-bgstream-source')];
    expect(items.map(item => item.textContent)).toEqual(['Example', 'Bad']);
    expect(items.map(item => item.querySelector('a')?.href)).toEqual(['https://example.org/', undefined]);
  });

  it('tools and earlier attempts are folded', () => {
    open();
    tell(
      state(
        log(
          ...begin,
          text('First'),
          { type: 'waiting', until: 1, code: 'x', message: 'y' },
          { type: 'attempt' },
          text('Second'),
          {
            type: 'tool_call',
            id: '1',
            name: 'weather',
            arguments: '<b>{}</b>'
          }
        )
      )
    );
    expect(words('attempt')).toBe('Attempt 1, started overFirst');
    expect(words('tool')).toBe('Asks for the tool weather<b>{}</b>');
  });
});

describe('seen', () => {
  const ended = (): Followed => state(log(...begin, text('Hi'), done), { closed: true });

  it('is said once, when the end is drawn, on the screen, in a visible page', async () => {
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

  it('not from a hidden page', async () => {
    setVisibility('hidden');
    open();
    screen.intersect(true);
    tell(ended());
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
    setVisibility('visible');
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('not below the fold', async () => {
    open();
    screen.intersect(false);
    tell(ended());
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
    screen.intersect(true);
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('not before the end', async () => {
    open();
    screen.intersect(true);
    tell(state(log(...begin, text('Hi'))));
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
  });
});

it('disposal leaves the job alone: no follow, no stop', () => {
  open();
  tell(state(log(...begin)));
  view.dispose();
  expect(source.left).toBe(1);
  expect(source.cancel).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
