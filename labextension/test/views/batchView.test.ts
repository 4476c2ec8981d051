// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { BatchView } from '../../src/views/batchView';
import type { BatchFeed, BatchFollower } from '../../src/wire/liveBatches';
import type { BatchBundle } from '../../src/wire/types';
import { fakeScreen, batchOf, setVisibility } from '../dom';

let screen: ReturnType<typeof fakeScreen>;
let tell: BatchFollower;
let view: BatchView;
const batches = {
  follow: (_: string, follower: BatchFollower) => {
    tell = follower;
    follower(null, null);
    return { dispose: () => undefined };
  },
  change: vi.fn<BatchFeed['change']>(),
  seen: vi.fn<BatchFeed['seen']>(),
  show: vi.fn<NonNullable<BatchFeed['show']>>()
};

function open(saved: Omit<BatchBundle, 'id'> | null = null): void {
  view = new BatchView({ batch: 'g', saved, batches });
  document.body.append(view.node);
}

const part = (name: string): HTMLElement => view.node.querySelector<HTMLElement>(`.jp-bgstream-${name}`)!;
const words = (name: string): string => part(name).textContent;
const button = (action: string): HTMLButtonElement =>
  view.node.querySelector<HTMLButtonElement>(`[data-action=${action}]`)!;
const width = (of: string): string => view.node.querySelector<HTMLElement>(`[data-of=${of}]`)!.style.width;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 0, 0, 10) });
  vi.clearAllMocks();
  screen = fakeScreen();
  setVisibility('visible');
  batches.change.mockReset().mockResolvedValue();
});

afterEach(() => {
  view.dispose();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('a batch on a page that is signed out', () => {
  const since = Date.UTC(2026, 0, 1, 0, 0, 12) / 1000;
  const denial = { code: 'signed_out' as const, message: 'Sign in again: reload this page', since };
  const running = batchOf({ completed: 5, failed: 1 }, { total: 10, submitted: 10, running: 4 });

  it('shows what to do, stops its clock and can be neither stopped nor retried', () => {
    open();
    tell(running, null);
    vi.advanceTimersByTime(30_000);
    expect(words('elapsed')).toBe('40 s');
    tell(running, denial);
    vi.advanceTimersByTime(30_000);
    tell(running, denial);
    expect([words('connection'), words('elapsed'), words('left')]).toEqual([denial.message, '12 s', '']);
    expect([part('problem').hidden, part('try').hidden]).toEqual([true, true]);
    button('stop').click();
    button('retry-batch').click();
    expect(batches.change).not.toHaveBeenCalled();
    expect(['stop', 'retry-batch'].map(each => button(each).getAttribute('aria-disabled'))).toEqual(['true', 'true']);
    tell(running, null);
    expect([words('connection'), words('elapsed')]).toEqual(['', '1 min 10 s']);
  });

  it('is shown as not connected before the first reading', () => {
    open();
    tell(null, denial);
    expect([words('state'), words('connection')]).toEqual(['Not connected', denial.message]);
  });

  it('shows no connection message once it has ended', () => {
    open();
    tell(batchOf({ completed: 10 }, { total: 10, status: 'completed' }), denial);
    expect(words('connection')).toBe('');
  });
});

describe('a batch', () => {
  it('shows its progress', () => {
    open();
    expect([words('state'), part('bar').hidden]).toEqual(['Connecting…', true]);
    tell(
      batchOf(
        { completed: 7500, failed: 2 },
        { total: 10_000, submitted: 10_000, running: 20, queued: 2478, cost: { usd: 1.234, estimated: true } }
      ),
      null
    );
    expect([words('state'), words('name'), words('elapsed'), words('cost')]).toEqual([
      'Running',
      'T',
      '10 s',
      '≈ $1.23'
    ]);
    expect(words('numbers')).toBe('7,500 of 10,000 answered · 2 failed · 20 running · 2,478 queued');
    expect([width('completed'), width('failed'), width('running')]).toEqual(['75%', '0.02%', '0.2%']);
    const bar = part('bar');
    expect(bar.getAttribute('role')).toBe('progressbar');
    expect(['valuemin', 'valuenow', 'valuemax', 'valuetext'].map(name => bar.getAttribute(`aria-${name}`))).toEqual([
      '0',
      '7502',
      '10000',
      '7,502 of 10,000 ended'
    ]);
  });

  it.each([
    ['Queued', 'queued', batchOf({}, { status: 'queued' })],
    ['Done', 'completed', batchOf({ completed: 3 })],
    ['Partly done', 'partly', batchOf({ completed: 2, failed: 1 })],
    ['Failed', 'failed', batchOf({ failed: 3 })],
    ['Stopped', 'cancelled', batchOf({ completed: 1, cancelled: 2 })],
    ['Partly done', 'partly', batchOf({ completed: 1, interrupted: 2 })]
  ])('shows %s', (said, state, batch) => {
    open();
    tell(batch, null);
    expect([words('state'), view.node.dataset.state]).toEqual([said, state]);
  });

  it('shows rate and remaining time once they are known', () => {
    open();
    for (let second = 0; second <= 10; second++) {
      const usage = { input_tokens: 1, output_tokens: second * 50 };
      tell(batchOf({ completed: second * 2 }, { total: 100, running: 5, usage }), null);
      expect(words('left')).toBe(second < 5 ? '' : words('left'));
      vi.advanceTimersByTime(1000);
    }
    expect(words('speed')).toBe('45 tokens/s');
    expect(words('left')).toBe('about 45 s left');
    vi.advanceTimersByTime(65_000);
    expect([words('left'), words('try')]).toEqual(['', 'No row has ended for 1 min 6 s.']);
    tell(batchOf({ completed: 20 }, { total: 100, submitted: 60 }), null);
    expect(words('try')).toMatch(/^40 of 100 rows were never submitted\. Run the cell again/);
    tell(batchOf({ completed: 100 }, { total: 100 }), null);
    expect([words('left'), words('speed'), part('try').hidden]).toEqual(['', '', true]);
  });

  it('does not redraw unchanged parts', () => {
    open();
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    const changes = new MutationObserver(() => undefined);
    changes.observe(view.node, { subtree: true, childList: true, characterData: true });
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    expect(changes.takeRecords()).toEqual([]);
  });
});

describe('a paused batch', () => {
  const paused = { code: 'unauthorized', message: 'openai refused the key.\nCheck it.', at: 1 };
  const going = { total: 100, submitted: 100, queued: 90, running: 3 };
  const batch = batchOf({ completed: 2, failed: 5 }, { ...going, paused, cost: { usd: 0.5, estimated: true } });

  it('shows the reason and the possible actions', () => {
    open();
    tell(batch, null);
    expect([words('state'), view.node.dataset.state]).toEqual(['Paused', 'paused']);
    expect(words('problem')).toBe('Rows failed alike: openai refused the key. Check it. unauthorized');
    const buttons = ['retry-batch', 'resume-batch', 'stop'].map(button);
    expect(buttons.map(({ hidden }) => hidden)).toEqual([false, false, false]);
    expect(buttons.map(each => each.textContent)).toEqual(['Retry 5 failed (about $1.25 again)', 'Resume', 'Stop']);
    expect(button('resume-batch').title).toContain('the 93 rows that are left');
    vi.advanceTimersByTime(3_600_000);
    expect([words('left'), words('speed'), part('try').hidden]).toEqual(['', '', true]);
  });

  it('resumes once and moves the focus', async () => {
    open();
    tell(batch, null);
    button('resume-batch').focus();
    button('resume-batch').click();
    button('resume-batch').click();
    expect([batches.change.mock.calls, button('resume-batch').textContent]).toEqual([[['g', 'resume']], 'Resuming…']);
    tell({ ...batch, paused: null }, null);
    await vi.advanceTimersByTimeAsync(0);
    expect([words('state'), part('problem').hidden, button('resume-batch').hidden]).toEqual(['Running', true, true]);
    expect(button('stop').textContent).toBe('Stop');
    expect(document.activeElement).toBe(button('stop'));
    vi.advanceTimersByTime(30_000);
    expect(part('try').hidden).toBe(true); // that nothing has ended while it was paused is no news
  });

  it('shows why it was not resumed', async () => {
    batches.change.mockRejectedValue(new Error('The server stops.'));
    open();
    tell(batch, null);
    button('resume-batch').click();
    await vi.advanceTimersByTimeAsync(0);
    expect(words('problem')).toBe('Not resumed: The server stops. not_resumed');
    expect(words('state')).toBe('Paused');
  });

  it('is marked as seen on the screen, and its end again later', () => {
    open();
    tell(batch, null);
    expect(batches.seen).not.toHaveBeenCalled();
    screen.intersect(true);
    tell(batch, null);
    expect(batches.seen).toHaveBeenCalledTimes(1);
    tell(batchOf({ completed: 95, failed: 5 }, { ...going, ended_at: 9 }), null);
    expect(batches.seen).toHaveBeenCalledTimes(2);
  });

  it('is not shown as paused after its end', () => {
    open();
    tell(batchOf({ failed: 3 }, { paused }), null);
    expect([button('resume-batch').hidden, part('problem').hidden]).toEqual([true, true]);
  });

  it('cannot be resumed when the page is signed out', () => {
    open();
    tell(batch, { code: 'signed_out', message: 'Sign in again: reload this page', since: 1 });
    button('resume-batch').click();
    expect(batches.change).not.toHaveBeenCalled();
    expect(button('resume-batch').getAttribute('aria-disabled')).toBe('true');
  });
});

describe('the buttons of a batch', () => {
  it('stop running jobs once', async () => {
    open();
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    expect(button('retry-batch').hidden).toBe(true);
    button('stop').click();
    button('stop').click();
    expect([words('state'), batches.change.mock.calls]).toEqual(['Stopping…', [['g', 'cancel']]]);
    await vi.advanceTimersByTimeAsync(0);
    tell(batchOf({ completed: 1, cancelled: 2 }), null);
    expect([words('state'), button('stop').hidden, words('retry')]).toEqual(['Stopped', true, 'Retry 2 stopped']);
  });

  it('retry rows without an answer, and move the focus', async () => {
    open();
    tell(batchOf({ completed: 1, failed: 1, interrupted: 1 }), null);
    expect(words('retry')).toBe('Retry 2 without an answer');
    button('retry-batch').focus();
    button('retry-batch').click();
    expect(words('retry')).toBe('Retrying…');
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    await vi.advanceTimersByTimeAsync(0);
    expect(document.activeElement).toBe(button('stop'));
  });

  it('show why a request failed', async () => {
    batches.change.mockRejectedValue(new Error('The queue is full.'));
    open();
    tell(batchOf({ completed: 1, failed: 2 }), null);
    button('retry-batch').click();
    await vi.advanceTimersByTimeAsync(0);
    expect(words('problem')).toBe('Not retried: The queue is full. not_retried');
    expect(words('retry')).toBe('Retry 2 failed');
  });

  it('list the jobs of the batch', () => {
    open();
    expect(button('show-jobs').hidden).toBe(true);
    tell(batchOf({ completed: 3 }), null);
    button('show-jobs').click();
    expect(batches.show.mock.calls).toEqual([[{ batch: 'g', title: 'T' }]]);
  });

  it('keep their keys from the notebook', () => {
    open();
    const heard = vi.fn();
    document.body.addEventListener('keydown', heard);
    button('stop').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
    expect(heard).not.toHaveBeenCalled();
    document.body.removeEventListener('keydown', heard);
  });
});

describe('an error', () => {
  const saved = {
    status: 'running',
    title: 'Saved',
    total: 3,
    counts: { completed: 1, failed: 0, cancelled: 0, interrupted: 0 }
  } as const;

  it('keeps the saved numbers', () => {
    open(saved);
    expect([words('state'), words('numbers')]).toEqual(['Connecting…', '1 of 3 answered']);
    tell(null, { code: 'not_found', message: 'No.' });
    expect([words('state'), words('name'), words('numbers')]).toEqual(['Not found', 'Saved', '1 of 3 answered']);
    expect(words('problem')).toMatch(/^This batch is not on this server; saved numbers shown\./);
    expect(['stop', 'retry-batch', 'show-jobs'].every(action => button(action).hidden)).toBe(true);
  });

  it('of the connection is not shown as an error of the batch', () => {
    open();
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    tell(batchOf({ completed: 1 }, { running: 2 }), { code: 'offline', message: 'x' });
    expect([words('state'), words('connection'), part('problem').hidden]).toEqual(['Running', 'Reconnecting…', true]);
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    expect(words('connection')).toBe('');
  });
});

describe('the seen message', () => {
  it('is sent for an end that was drawn on the screen, once for each end', () => {
    open();
    tell(batchOf({ completed: 1 }), null);
    screen.intersect(true);
    setVisibility('hidden');
    tell(batchOf({ completed: 3 }), null);
    expect(batches.seen).not.toHaveBeenCalled();
    setVisibility('visible');
    tell(batchOf({ completed: 3 }), null);
    expect(batches.seen.mock.calls).toEqual([['g']]);
    tell(batchOf({ completed: 2 }), null);
    tell(batchOf({ completed: 3 }, { ended_at: 99 }), null);
    expect(batches.seen).toHaveBeenCalledTimes(2);
  });
});

describe('a request that seemed to fail', () => {
  it('is no longer shown once it has succeeded', async () => {
    batches.change.mockRejectedValue(new Error('the kernel is busy, and will do it as soon as it is free.'));
    open();
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    button('stop').click();
    await vi.advanceTimersByTimeAsync(0);
    expect(words('problem')).toMatch(/^Not stopped: the kernel is busy/);
    tell(batchOf({ completed: 1 }, { running: 2 }), null);
    expect(part('problem').hidden).toBe(false);
    tell(batchOf({ completed: 1, cancelled: 2 }), null);
    expect(part('problem').hidden).toBe(true);
  });
});

it('an ended batch shows no connection message while the server is away', () => {
  open();
  tell(batchOf({ completed: 3 }), { code: 'offline', message: 'x' });
  expect([words('state'), words('connection')]).toEqual(['Done', '']);
});
