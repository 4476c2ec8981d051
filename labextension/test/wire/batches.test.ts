// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Batches, type BatchVerb } from '../../src/wire/liveBatches';
import type { News } from '../../src/wire/jobFeed';
import { type BatchInfo, type ErrorInfo, type Inbox, type NoticeInfo, PROTOCOL } from '../../src/wire/types';
import { batchOf, setVisibility } from '../dom';

let hear: (news: News) => void;
let now: BatchInfo | ErrorInfo;
let batches: Batches;
let received: string[];
const inbox: Inbox = { notices: [], unread: 0 };

const answer = (): Promise<BatchInfo> =>
  'code' in now ? Promise.reject(Object.assign(new Error(), now)) : Promise.resolve(now);
const server = {
  batch: vi.fn(answer),
  changeBatch: vi.fn((_: string, verb: BatchVerb) =>
    Promise.resolve((now = batchOf(verb === 'cancel' ? { completed: 1, cancelled: 2 } : { completed: 1 })))
  ),
  notices: vi.fn(() => Promise.resolve(inbox)),
  markRead: vi.fn(() => Promise.resolve(inbox))
};

const hello: News = { type: 'hello', version: '0', protocol: PROTOCOL, server: 's' };
const hint = (status: 'queued' | 'completed'): News => ({ type: 'job', job: 'j', status });
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const follow = (id = 'g') =>
  batches.follow(id, (batch, trouble) => {
    received.push(`${batch?.counts.completed ?? '-'}${trouble === null ? '' : ` ${trouble.code}`}`);
  });

beforeEach(() => {
  vi.useFakeTimers();
  setVisibility('visible');
  vi.clearAllMocks();
  now = batchOf({ completed: 1 });
  received = [];
  batches = new Batches(
    {
      listen: listener => {
        hear = listener;
        return { dispose: () => undefined };
      }
    },
    server
  );
});

afterEach(() => {
  batches.dispose();
  vi.useRealTimers();
});

describe('a batch', () => {
  it('is reported at once, and read once for all followers', async () => {
    follow();
    follow();
    await pass(10);
    expect(received).toEqual(['-', '-', '1', '1']);
    expect(server.batch).toHaveBeenCalledTimes(1);
  });

  it('is read at most once per second at many hints, and after the last one', async () => {
    follow();
    await pass(10);
    for (let ms = 0; ms < 10_000; ms += 10) {
      hear(hint('completed'));
      await pass(10);
    }
    now = batchOf({ completed: 2 });
    hear(hint('completed'));
    await pass(2000);
    expect(received.at(-1)).toBe('2');
    expect(server.batch.mock.calls.length).toBeLessThanOrEqual(13);
  });

  it('that has ended is read again only when jobs are queued', async () => {
    now = batchOf({ completed: 3 });
    follow();
    await pass(10);
    hear(hint('completed'));
    await pass(60_000);
    expect(server.batch).toHaveBeenCalledTimes(1);
    for (let i = 0; i < 100; i++) {
      hear(hint('queued'));
      await pass(100);
    }
    expect(server.batch.mock.calls.length).toBeLessThanOrEqual(4);
  });

  it('is read when it is paused or continues', async () => {
    follow();
    await pass(2000);
    now = batchOf({ completed: 2 });
    hear({ type: 'batch', batch: 'another' });
    await pass(2000);
    expect(received.at(-1)).toBe('1');
    hear({ type: 'batch', batch: 'g' });
    await pass(10);
    expect(received.at(-1)).toBe('2');
  });

  it('that is resumed is reported to followers, and to listeners of retries', async () => {
    const asked = vi.fn();
    batches.onRetry(asked);
    follow();
    await pass(10);
    await batches.change('g', 'resume');
    expect([received.at(-1), server.changeBatch.mock.calls, asked.mock.calls]).toEqual([
      '1',
      [['g', 'resume']],
      [['g']]
    ]);
  });

  it('without followers is not read', async () => {
    const one = follow();
    await pass(10);
    hear(hint('completed'));
    one.dispose();
    await pass(5000);
    hear(hint('completed'));
    await pass(5000);
    expect(server.batch).toHaveBeenCalledTimes(1);
  });

  it('is reported as offline without a socket, and read when it opens again', async () => {
    hear(hello);
    follow();
    await pass(2000);
    hear({ type: 'offline' });
    expect(received.at(-1)).toBe('1 offline');
    now = batchOf({ completed: 2 });
    hear(hello);
    await pass(10);
    expect(received.at(-1)).toBe('2');
  });

  it('that cannot be read is read again, unless it does not exist', async () => {
    now = { code: 'unreachable', message: 'No.' };
    follow();
    await pass(10);
    expect(received.at(-1)).toBe('- unreachable');
    now = { code: 'not_found', message: 'No.' };
    await pass(5000);
    expect(received.at(-1)).toBe('- not_found');
    await pass(60_000);
    expect(server.batch).toHaveBeenCalledTimes(2);
    now = batchOf({});
    hear(hint('queued')); // it may have been sent just now
    await pass(5000);
    expect(received.at(-1)).toBe('0');
  });

  it('is reported at once after an action, and a retry notifies listeners', async () => {
    const retried = vi.fn();
    batches.onRetry(retried);
    follow();
    await pass(10);
    const wish = batches.change('g', 'cancel');
    await pass(0);
    await wish;
    expect(received.at(-1)).toBe('1');
    expect(retried).not.toHaveBeenCalled();
    await batches.change('g', 'retry');
    expect(retried.mock.calls).toEqual([['g']]);
  });

  it('whose end was seen has only its own notice marked as read', async () => {
    const notice = (id: string, batch: string | null, read_at: number | null = null): NoticeInfo =>
      ({ id, batch, job: batch === null ? 'j' : null, read_at }) as NoticeInfo;
    inbox.notices = [notice('1', null), notice('2', 'g'), notice('3', 'other'), notice('4', 'g', 9)];
    batches.seen('g');
    await pass(10);
    expect(server.markRead.mock.calls).toEqual([[{ ids: ['2'] }]]);
    inbox.notices = [];
    batches.seen('g');
    await pass(10);
    expect(server.markRead).toHaveBeenCalledTimes(1);
  });
});

it('a batch reports why the page is denied access', async () => {
  hear(hello);
  follow();
  await pass(10);
  hear({ type: 'offline', denial: { code: 'signed_out', message: 'Sign in again', since: 5 } });
  expect(received.at(-1)).toBe('1 signed_out');
  hear({ type: 'offline', denial: null });
  expect(received.at(-1)).toBe('1 offline');
  hear(hello);
  await pass(1500);
  expect(received.at(-1)).toBe('1');
});

describe('reading', () => {
  it('is repeated at once when the socket opens', async () => {
    now = { code: 'unreachable', message: 'No.' };
    hear(hello);
    follow();
    await pass(1500);
    hear({ type: 'offline' });
    now = batchOf({ completed: 2 });
    hear(hello);
    await pass(10);
    expect(received.at(-1)).toBe('2');
  });

  it('stops after the batch is gone, while other jobs continue', async () => {
    follow();
    await pass(10);
    now = { code: 'not_found', message: 'No.' };
    hear(hint('completed'));
    await pass(2000);
    expect(received.at(-1)).toBe('1 not_found');
    for (let i = 0; i < 20; i++) {
      hear(hint('completed'));
      await pass(1000);
    }
    expect(server.batch).toHaveBeenCalledTimes(2);
  });

  it('is rare in a hidden page, and prompt when it becomes visible', async () => {
    follow();
    await pass(10);
    setVisibility('hidden');
    for (let i = 0; i < 60; i++) {
      hear(hint('completed'));
      await pass(1000);
    }
    expect(server.batch.mock.calls.length).toBeLessThanOrEqual(8);
    const before = server.batch.mock.calls.length;
    hear(hint('completed'));
    setVisibility('visible');
    await pass(1000);
    expect(server.batch).toHaveBeenCalledTimes(before + 1);
  });

  it('that began before a request does not undo its response', async () => {
    now = batchOf({ completed: 1, failed: 2 });
    follow();
    await pass(10);
    const late = batchOf({ completed: 1, failed: 2 });
    server.batch.mockImplementationOnce(() => new Promise(resolve => setTimeout(() => resolve(late), 100)));
    hear(hint('queued'));
    await pass(5000);
    await batches.change('g', 'retry');
    received = [];
    server.batch.mockImplementation(() => new Promise(() => undefined));
    await pass(150);
    expect(server.batch).toHaveBeenCalledTimes(2);
    let status = '';
    batches.follow('g', batch => void (status = batch?.status ?? ''));
    expect(status).toBe('running');
    server.batch.mockImplementation(answer);
  });

  it('notifies other followers after one fails', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    let broken = false;
    batches.follow('g', () => {
      if (broken) {
        throw new Error('Cannot send');
      }
    });
    follow();
    broken = true;
    await pass(10);
    expect(received.at(-1)).toBe('1');
    expect(error).toHaveBeenCalledTimes(1);
    error.mockRestore();
  });
});
