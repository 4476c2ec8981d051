// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Access, Followed, News } from '../../src/wire/jobFeed';
import { Live } from '../../src/wire/liveJobs';
import { PROTOCOL, type WireEvent } from '../../src/wire/types';
import { FakeSocket } from '../socket';

const queued: WireEvent = { seq: 1, attempt: 0, type: 'queued', at: 1 };
const begun: WireEvent = { seq: 2, attempt: 1, type: 'attempt', at: 2 };
const said = (seq: number, text: string, first?: number): WireEvent => ({
  seq,
  attempt: 1,
  type: 'delta',
  channel: 'text',
  text,
  ...(first && { first })
});
const done = (seq: number): WireEvent => ({ seq, attempt: 1, type: 'completed', at: 9, finish_reason: 'stop' });

let live: Live;
let cancel: ReturnType<typeof vi.fn<(job: string) => Promise<void>>>;
let access: ReturnType<typeof vi.fn<() => Promise<Access>>>;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  cancel = vi.fn(() => Promise.resolve());
  access = vi.fn(() => Promise.resolve('unknown' as const));
  live = new Live({
    url: () => 'ws://x/live',
    WebSocket: FakeSocket.constructible,
    cancel,
    image: () => Promise.reject(new Error('none')),
    access,
    random: () => 1
  });
});

afterEach(() => {
  live.dispose();
  vi.useRealTimers();
});

function watch(job: string): { states: Followed[]; last: () => Followed; leave: () => void } {
  const states: Followed[] = [];
  const following = live.follow(job, state => states.push(state));
  return { states, last: () => states.at(-1)!, leave: () => following.dispose() };
}

const events = (job: string, list: WireEvent[], closed = false): void =>
  FakeSocket.last.say({ type: 'events', job, cursor: `c${list.at(-1)?.seq ?? 'end'}`, events: list, closed });

it('a lease request that the server refuses is resolved as not granted', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  FakeSocket.last.hello();
  const granted = live.mayWrite('n'.repeat(5000), 'j');
  FakeSocket.last.say({ type: 'error', job: null, code: 'invalid', message: 'No.' });
  expect(await granted).toBe(false);
  warn.mockRestore();
});

describe('one follow for all views of a job', () => {
  it('is sent once, and a late follower gets the state at once', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued, begun, said(3, 'Hel')]);
    const two = watch('j');
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: null }]);
    expect(two.last().answer.text).toBe('Hel');
    events('j', [said(4, 'lo')]);
    expect(one.last()).toBe(two.last());
    expect(one.last()).toMatchObject({ cursor: 'c4', closed: false, answer: { text: 'Hello' } });
  });

  it('ends with the last view', () => {
    FakeSocket.last.hello().take();
    const [one, two] = [watch('j'), watch('j')];
    one.leave();
    one.leave();
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: null }]);
    two.leave();
    expect(FakeSocket.last.take()).toEqual([{ type: 'unfollow', job: 'j' }]);
    events('j', [queued]);
    expect(two.states).toHaveLength(1);
  });

  it('waits for the hello', () => {
    const one = watch('j');
    expect(one.last().online).toBe(false);
    expect(FakeSocket.last.take()).toEqual([]);
    FakeSocket.last.hello();
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: null }]);
    expect(one.last().online).toBe(true);
  });
});

describe('a lost connection', () => {
  it('does not fail the job, and the follow continues at the cursor', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued, begun, said(3, 'one ')]);
    FakeSocket.last.break();
    expect(one.last()).toMatchObject({ online: false, trouble: null, answer: { status: 'running', text: 'one ' } });
    vi.advanceTimersByTime(499);
    expect(FakeSocket.all).toHaveLength(1);
    vi.advanceTimersByTime(1);
    FakeSocket.last.hello();
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: 'c3' }]);
    events('j', [said(9, 'two', 4), done(10)], true);
    expect(one.last()).toMatchObject({ online: true, closed: true, answer: { status: 'completed', text: 'one two' } });
  });

  it('is retried with growing delays up to a limit, and from the start after a success', () => {
    const waits = [];
    for (let n = 0; n < 9; n++) {
      FakeSocket.last.break();
      const before = Date.now();
      vi.advanceTimersToNextTimer();
      waits.push(Date.now() - before);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    FakeSocket.last.hello().break();
    vi.advanceTimersByTime(500);
    expect(FakeSocket.all).toHaveLength(11);
  });

  it('is retried at once when the network is back', () => {
    FakeSocket.last.break();
    globalThis.dispatchEvent(new Event('online'));
    expect(FakeSocket.all).toHaveLength(2);
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('is detected after 50 s without a beat', () => {
    const first = FakeSocket.last.hello();
    vi.advanceTimersByTime(40_000);
    first.say({ type: 'beat' });
    vi.advanceTimersByTime(49_999);
    expect(first.closed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(first.closed).toBe(true);
    vi.advanceTimersByTime(500);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('does not follow a complete log again', () => {
    FakeSocket.last.hello();
    watch('j');
    events('j', [queued, begun, done(3)], true);
    FakeSocket.last.break();
    vi.advanceTimersByTime(500);
    FakeSocket.last.hello();
    expect(FakeSocket.last.take()).toEqual([]);
  });

  it('keeps the seen end for the next socket', () => {
    live.seen('j', 'c1');
    live.seen('j', 'c2');
    FakeSocket.last.hello();
    expect(FakeSocket.last.take()).toEqual([{ type: 'seen', job: 'j', cursor: 'c2' }]);
  });
});

describe('a socket that does not open', () => {
  const fail = async (ms = 500): Promise<void> => {
    await vi.advanceTimersByTimeAsync(ms);
    FakeSocket.last.break();
    await vi.advanceTimersByTimeAsync(0);
  };

  it('asks for the reason once per failed attempt, and not when an open socket closes', async () => {
    FakeSocket.last.hello().break();
    await vi.advanceTimersByTimeAsync(0);
    expect(access).not.toHaveBeenCalled();
    await fail(500);
    expect(access).toHaveBeenCalledTimes(1);
    await fail(1000);
    expect(access).toHaveBeenCalledTimes(2);
  });

  it('reports a page that is signed out to followers and listeners, with the time', async () => {
    const news: News[] = [];
    live.listen(each => news.push(each));
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued, begun, said(3, 'one ')]);
    FakeSocket.last.break();
    const since = Date.now() / 1000;
    access.mockResolvedValue('signed-out');
    await fail();
    const denial = { code: 'signed_out', message: 'Sign in again: reload this page', since };
    expect(one.last()).toMatchObject({ online: false, denial, trouble: null, answer: { text: 'one ' } });
    expect(news.at(-1)).toEqual({ type: 'offline', denial });
    const late = watch('k');
    expect(late.last()).toMatchObject({ online: false, denial });
    await fail(1000); // later failures do not move the time
    expect(one.last().denial).toEqual(denial);
    expect(news.at(-1)).toEqual({ type: 'offline', denial });
  });

  it('recovers by itself after a sign-in elsewhere', async () => {
    const one = watch('j');
    access.mockResolvedValue('signed-out');
    await fail(0);
    expect(one.last().denial?.code).toBe('signed_out');
    await vi.advanceTimersByTimeAsync(30_000);
    FakeSocket.last.hello();
    expect(one.last()).toMatchObject({ online: true, denial: null });
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: null }]);
  });

  it('is retried at once when the window gets the focus', async () => {
    access.mockResolvedValue('signed-out');
    await fail(0);
    const before = FakeSocket.all.length;
    globalThis.dispatchEvent(new Event('focus'));
    expect(FakeSocket.all).toHaveLength(before + 1);
  });

  it.each(['granted', 'unknown'] as const)('reports a lost connection again when access is %s', async result => {
    const one = watch('j');
    access.mockResolvedValueOnce('signed-out').mockResolvedValueOnce(result);
    await fail(0);
    await fail(500);
    expect(one.last()).toMatchObject({ online: false, denial: null });
  });

  it('ignores a reason that comes after the socket has opened', async () => {
    const one = watch('j');
    let answer: (access: Access) => void = () => undefined;
    access.mockReturnValueOnce(new Promise(resolve => (answer = resolve)));
    await fail(0);
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.hello();
    answer('signed-out');
    await vi.advanceTimersByTimeAsync(0);
    expect(one.last()).toMatchObject({ online: true, denial: null });
  });

  it('reports that the user may not read', async () => {
    const one = watch('j');
    access.mockResolvedValue('forbidden');
    await fail(0);
    expect(one.last().denial?.message).toBe('You may not see background jobs on this server');
  });

  it('asks for a reload when the server has another protocol, until it has this one again', async () => {
    const one = watch('j');
    const message = 'Reload this page: the server has another version';
    const other = { type: 'hello', version: '9', protocol: PROTOCOL + 1, server: 's' } as const;
    const socket = FakeSocket.last;
    socket.say(other);
    expect(one.last()).toMatchObject({ online: false, denial: { code: 'other_protocol', message } });
    expect([socket.closed, socket.take()]).toEqual([true, []]);
    await vi.advanceTimersByTimeAsync(500);
    await fail(0);
    expect(one.last().denial?.message).toBe(message);
    expect(access).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1000);
    FakeSocket.last.hello();
    expect(one.last()).toMatchObject({ online: true, denial: null });
  });

  it('waits for a response before it asks again', async () => {
    access.mockReturnValue(new Promise(() => undefined));
    await fail(0);
    await fail(500);
    await fail(1000);
    expect(access).toHaveBeenCalledOnce();
  });
});

describe('frames that do not fit', () => {
  it('a reset discards the state and follows from the beginning', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued, begun, said(3, 'old')]);
    FakeSocket.last.take();
    FakeSocket.last.say({ type: 'reset', job: 'j', code: 'cursor_gone', message: 'Another log.' });
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: null }]);
    expect(one.last().answer.status).toBe('new');
    events('j', [queued]);
    expect(one.last().answer.status).toBe('queued');
  });

  it('known events are skipped', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued, begun, said(3, 'a')]);
    events('j', [queued, begun, said(3, 'a'), said(4, 'b')]);
    expect(one.last().answer.text).toBe('ab');
  });

  it('events with an overlap or a gap are requested again from the cursor', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued, begun, said(3, 'a')]);
    FakeSocket.last.take();
    events('j', [said(5, 'abc', 3)]);
    events('j', [said(9, 'z')]);
    expect(FakeSocket.last.take()).toEqual(Array(2).fill({ type: 'follow', job: 'j', cursor: 'c3' }));
    events('j', [said(5, 'bc', 4)]);
    expect(one.last().answer.text).toBe('abc');
  });

  it('a log that never fits is given up, once', () => {
    const complain = vi.spyOn(console, 'error').mockReturnValue();
    FakeSocket.last.hello();
    const one = watch('j');
    for (let n = 0; n < 8; n++) {
      events('j', [said(9, 'z')]);
    }
    expect(FakeSocket.last.take()).toHaveLength(8);
    expect(one.last().trouble?.code).toBe('bad_log');
    expect(complain).toHaveBeenCalledOnce();
  });
});

describe('a missing job', () => {
  it('is an error, and is followed once the server reports it', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    FakeSocket.last.say({ type: 'error', job: 'j', code: 'not_found', message: 'No such job.' });
    expect(one.last().trouble).toEqual({ code: 'not_found', message: 'No such job.' });
    FakeSocket.last.take();
    FakeSocket.last.say({ type: 'job', job: 'j', status: 'queued' });
    expect(FakeSocket.last.take()).toEqual([{ type: 'follow', job: 'j', cursor: null }]);
    events('j', [queued]);
    expect(one.last().trouble).toBeNull();
  });

  it('is an error after its deletion', () => {
    FakeSocket.last.hello();
    const one = watch('j');
    events('j', [queued]);
    FakeSocket.last.say({ type: 'job', job: 'j', status: 'deleted' });
    expect(one.last()).toMatchObject({ trouble: { code: 'not_found' }, answer: { status: 'queued' } });
  });
});

it('news are sent to listeners', () => {
  const news: News[] = [];
  const listening = live.listen(each => news.push(each));
  FakeSocket.last.hello();
  FakeSocket.last.say({ type: 'notice' });
  FakeSocket.last.say({ type: 'job', job: 'j', status: 'running' });
  FakeSocket.last.break();
  expect(news.map(each => each.type)).toEqual(['hello', 'notice', 'job', 'offline']);
  listening.dispose();
  vi.advanceTimersByTime(500);
  FakeSocket.last.hello();
  expect(news).toHaveLength(4);
});

it('a stop is passed on, and disposal closes the socket for good', async () => {
  await live.cancel('j');
  expect(cancel).toHaveBeenCalledWith('j');
  live.dispose();
  expect(FakeSocket.last.closed).toBe(true);
  vi.advanceTimersByTime(100_000);
  expect(FakeSocket.all).toHaveLength(1);
});
