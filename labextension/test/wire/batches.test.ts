// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Batches } from '../../src/wire/batches';
import type { News } from '../../src/wire/feed';
import type { Fault, Group, Inbox, Notice } from '../../src/wire/wire';
import { groupOf, setVisibility } from '../dom';

let hear: (news: News) => void;
let now: Group | Fault;
let groups: Batches;
let received: string[];
const inbox: Inbox = { notices: [], unread: 0 };

const answer = (): Promise<Group> =>
  'code' in now ? Promise.reject(Object.assign(new Error(), now)) : Promise.resolve(now);
const server = {
  group: vi.fn(answer),
  cancelGroup: vi.fn(() => Promise.resolve((now = groupOf({ completed: 1, cancelled: 2 })))),
  retryGroup: vi.fn(() => Promise.resolve((now = groupOf({ completed: 1 })))),
  resumeGroup: vi.fn(() => Promise.resolve((now = groupOf({ completed: 1 })))),
  notices: vi.fn(() => Promise.resolve(inbox)),
  markRead: vi.fn(() => Promise.resolve())
};

const hello: News = { type: 'hello', version: '0', protocol: 1, server: 's' };
const hint = (status: 'queued' | 'completed'): News => ({ type: 'job', job: 'j', status });
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const follow = (id = 'g') =>
  groups.follow(id, (group, trouble) => {
    received.push(`${group?.counts.completed ?? '-'}${trouble === null ? '' : ` ${trouble.code}`}`);
  });

beforeEach(() => {
  vi.useFakeTimers();
  setVisibility('visible');
  vi.clearAllMocks();
  now = groupOf({ completed: 1 });
  received = [];
  groups = new Batches(
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
  groups.dispose();
  vi.useRealTimers();
});

describe('a group', () => {
  it('is informed at once, and read once for all who follow it', async () => {
    follow();
    follow();
    await pass(10);
    expect(received).toEqual(['-', '-', '1', '1']);
    expect(server.group).toHaveBeenCalledTimes(1);
  });

  it('is read at most once per second, however many hints come, and the last of them counts', async () => {
    follow();
    await pass(10);
    for (let ms = 0; ms < 10_000; ms += 10) {
      hear(hint('completed'));
      await pass(10);
    }
    now = groupOf({ completed: 2 });
    hear(hint('completed'));
    await pass(2000);
    expect(received.at(-1)).toBe('2');
    expect(server.group.mock.calls.length).toBeLessThanOrEqual(13);
  });

  it('that has ended is read again when jobs are queued, and at nothing else', async () => {
    now = groupOf({ completed: 3 });
    follow();
    await pass(10);
    hear(hint('completed'));
    await pass(60_000);
    expect(server.group).toHaveBeenCalledTimes(1);
    for (let i = 0; i < 100; i++) {
      hear(hint('queued'));
      await pass(100);
    }
    expect(server.group.mock.calls.length).toBeLessThanOrEqual(4);
  });

  it('is read when it is paused or continues', async () => {
    follow();
    await pass(2000);
    now = groupOf({ completed: 2 });
    hear({ type: 'group', group: 'another' });
    await pass(2000);
    expect(received.at(-1)).toBe('1');
    hear({ type: 'group', group: 'g' });
    await pass(10);
    expect(received.at(-1)).toBe('2');
  });

  it('that a user lets go on is informed as the server answers, and watched to its end', async () => {
    const asked = vi.fn();
    groups.onRetry(asked);
    follow();
    await pass(10);
    await groups.resume('g');
    expect([received.at(-1), server.resumeGroup.mock.calls, asked.mock.calls]).toEqual(['1', [['g']], [['g']]]);
  });

  it('that no user follows is not read', async () => {
    const one = follow();
    await pass(10);
    hear(hint('completed'));
    one.dispose();
    await pass(5000);
    hear(hint('completed'));
    await pass(5000);
    expect(server.group).toHaveBeenCalledTimes(1);
  });

  it('is known to be old while there is no socket, and read when there is one again', async () => {
    hear(hello);
    follow();
    await pass(2000);
    hear({ type: 'offline' });
    expect(received.at(-1)).toBe('1 offline');
    now = groupOf({ completed: 2 });
    hear(hello);
    await pass(10);
    expect(received.at(-1)).toBe('2');
  });

  it('that cannot be read is applyAttempts again; one that is not there is not', async () => {
    now = { code: 'unreachable', message: 'No.' };
    follow();
    await pass(10);
    expect(received.at(-1)).toBe('- unreachable');
    now = { code: 'not_found', message: 'No.' };
    await pass(5000);
    expect(received.at(-1)).toBe('- not_found');
    await pass(60_000);
    expect(server.group).toHaveBeenCalledTimes(2);
    now = groupOf({});
    hear(hint('queued')); // it may have been sent just now
    await pass(5000);
    expect(received.at(-1)).toBe('0');
  });

  it('is informed at once after a button, and who keeps the notebook hears of a retry', async () => {
    const retried = vi.fn();
    groups.onRetry(retried);
    follow();
    await pass(10);
    const wish = groups.cancel('g');
    await pass(0);
    await wish;
    expect(received.at(-1)).toBe('1');
    expect(retried).not.toHaveBeenCalled();
    await groups.retry('g');
    expect(retried.mock.calls).toEqual([['g']]);
  });

  it('whose end was seen has its notice read, and no other', async () => {
    const notice = (id: string, group: string | null, read_at: number | null = null): Notice =>
      ({ id, group, job: group === null ? 'j' : null, read_at }) as Notice;
    inbox.notices = [notice('1', null), notice('2', 'g'), notice('3', 'other'), notice('4', 'g', 9)];
    groups.seen('g');
    await pass(10);
    expect(server.markRead.mock.calls).toEqual([[{ ids: ['2'] }]]);
    inbox.notices = [];
    groups.seen('g');
    await pass(10);
    expect(server.markRead).toHaveBeenCalledTimes(1);
  });
});

it('says why the server does not let the page in', async () => {
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
  it('does not wait for its next try when the socket opens', async () => {
    now = { code: 'unreachable', message: 'No.' };
    hear(hello);
    follow();
    await pass(1500);
    hear({ type: 'offline' });
    now = groupOf({ completed: 2 });
    hear(hello);
    await pass(10);
    expect(received.at(-1)).toBe('2');
  });

  it('ends with the group, however many other jobs go on', async () => {
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
    expect(server.group).toHaveBeenCalledTimes(2);
  });

  it('is rare in a page that no user sees, and comes at once when a user does', async () => {
    follow();
    await pass(10);
    setVisibility('hidden');
    for (let i = 0; i < 60; i++) {
      hear(hint('completed'));
      await pass(1000);
    }
    expect(server.group.mock.calls.length).toBeLessThanOrEqual(8);
    const before = server.group.mock.calls.length;
    hear(hint('completed'));
    setVisibility('visible');
    await pass(1000);
    expect(server.group).toHaveBeenCalledTimes(before + 1);
  });

  it('that began before a wish does not undo its answer', async () => {
    now = groupOf({ completed: 1, failed: 2 });
    follow();
    await pass(10);
    const late = groupOf({ completed: 1, failed: 2 });
    server.group.mockImplementationOnce(() => new Promise(resolve => setTimeout(() => resolve(late), 100)));
    hear(hint('queued'));
    await pass(5000);
    await groups.retry('g');
    received = [];
    server.group.mockImplementation(() => new Promise(() => undefined));
    await pass(150);
    expect(server.group).toHaveBeenCalledTimes(2);
    let status = '';
    groups.follow('g', group => void (status = group?.status ?? ''));
    expect(status).toBe('running');
    server.group.mockImplementation(answer);
  });

  it('tells the others whichever of them fails', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    let broken = false;
    groups.follow('g', () => {
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
