import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { News } from '../../src/wire/jobFeed';
import { type Chain, RetryChains } from '../../src/wire/retryChains';
import { type JobInfo, PROTOCOL } from '../../src/wire/types';

let hear: (news: News) => void;
let records: Map<string, JobInfo>;
let retries: RetryChains;
let received: string[][];

const live = {
  listen: (listener: (news: News) => void) => {
    hear = listener;
    return { dispose: () => undefined };
  },
  seen: vi.fn()
};

const server = {
  jobs: vi.fn((_: number, { ids }: { ids: string }) =>
    Promise.resolve({ jobs: ids.split(',').flatMap(id => records.get(id) ?? []) })
  ),
  retry: vi.fn((id: string) => {
    add('new', { retry_of: id });
    return Promise.resolve(records.get('new')!);
  })
};

function add(id: string, links: { retry_of?: string; retried_by?: string } = {}): void {
  const job = { id, model: 'p/m', status: 'failed', retry_of: null, retried_by: null, ...links } as JobInfo;
  records.set(id, job);
  const before = records.get(job.retry_of ?? '');
  if (before !== undefined) {
    records.set(before.id, { ...before, retried_by: id });
  }
}

const hello: News = { type: 'hello', version: '0', protocol: PROTOCOL, server: 's' };
const pass = (ms = 10): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const note = (chain: Chain): void => void received.push(chain.map(({ id }) => id));

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  records = new Map();
  received = [];
  retries = new RetryChains(live, server);
});

afterEach(() => {
  retries.dispose();
  vi.useRealTimers();
});

describe('a chain', () => {
  it('is reported from its oldest to its newest job, for each of its jobs', async () => {
    add('a');
    add('b', { retry_of: 'a' });
    add('c', { retry_of: 'b' });
    hear(hello);
    for (const id of ['a', 'b', 'c']) {
      retries.watch(id, note);
    }
    await pass();
    expect(received).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c']
    ]);
    expect(server.jobs).toHaveBeenCalledOnce(); // one request for all that are watched
    retries.watch('b', note);
    expect(received.length).toBe(4); // a known chain is reported at once
  });

  it('is requested when the socket opens, and again at each opening', async () => {
    add('a');
    retries.watch('a', note);
    await pass();
    expect(server.jobs).not.toHaveBeenCalled();
    hear(hello);
    await pass();
    expect(received).toEqual([['a']]);
    hear({ type: 'offline' });
    add('b', { retry_of: 'a' }); // while this page was away
    hear(hello);
    await pass();
    expect(received.at(-1)).toEqual(['a', 'b']);
  });

  it('grows at a hint of the old job', async () => {
    add('a');
    hear(hello);
    retries.watch('a', note);
    await pass();
    add('b', { retry_of: 'a' });
    hear({ type: 'job', job: 'a', status: 'failed' });
    await pass();
    expect(received.at(-1)).toEqual(['a', 'b']);
    server.jobs.mockClear();
    hear({ type: 'job', job: 'unknown', status: 'failed' });
    hear({ type: 'job', job: 'b', status: 'running' });
    await pass();
    expect(server.jobs).not.toHaveBeenCalled();
  });

  it('ends before a job that is missing or was deleted', async () => {
    add('a', { retried_by: 'gone' });
    hear(hello);
    retries.watch('a', note);
    await pass();
    expect(received).toEqual([['a']]);
    records.delete('a');
    add('a');
    add('b', { retry_of: 'a' });
    hear({ type: 'job', job: 'a', status: 'failed' });
    await pass();
    hear({ type: 'job', job: 'b', status: 'deleted' });
    expect(received.at(-1)).toEqual(['a']);
  });

  it('that is circular or endless is bounded', async () => {
    add('a', { retried_by: 'b', retry_of: 'b' });
    records.set('b', { ...records.get('a')!, id: 'b', retried_by: 'a', retry_of: 'a' });
    for (let n = 0; n < 500; n++) {
      records.set(`n${n}`, { ...records.get('a')!, id: `n${n}`, retry_of: null, retried_by: `n${n + 1}` });
    }
    hear(hello);
    retries.watch('a', note);
    retries.watch('n0', chain => expect(chain.length).toBeLessThan(150));
    await pass(1000);
    expect(received.at(-1)).toEqual(['b', 'a']);
    expect(server.jobs.mock.calls.length).toBeLessThan(60);
  });

  it('is requested again when the server did not respond', async () => {
    add('a');
    server.jobs.mockRejectedValueOnce(new Error('No.'));
    hear(hello);
    retries.watch('a', note);
    await pass();
    expect(received).toEqual([]);
    await pass(6000);
    expect(received).toEqual([['a']]);
  });
});

describe('a retry', () => {
  it('is reported at once, and marks the old end as seen', async () => {
    add('a');
    hear(hello);
    retries.watch('a', note);
    await pass();
    const heard: string[] = [];
    retries.onRetry(job => heard.push(job));
    await retries.retry('a', 'c9');
    expect(received.at(-1)).toEqual(['a', 'new']);
    expect(live.seen).toHaveBeenCalledExactlyOnceWith('a', 'c9');
    expect(heard).toEqual(['new']);
  });

  it('that is refused changes nothing', async () => {
    server.retry.mockRejectedValueOnce(new Error('The queue is full.'));
    await expect(retries.retry('a', 'c9')).rejects.toThrow('The queue is full.');
    expect(live.seen).not.toHaveBeenCalled();
  });
});

it('chainIds returns all ids of a chain, and only the id of an unknown job', async () => {
  add('a');
  add('b', { retry_of: 'a' });
  expect(await retries.chainIds('b')).toEqual(['a', 'b']);
  expect(await retries.chainIds('x')).toEqual(['x']);
});

it('notifies other watchers after one fails, without reading again', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  add('a');
  retries.watch('a', () => {
    throw new Error('Cannot send');
  });
  const chain = vi.fn();
  retries.watch('a', chain);
  hear(hello);
  await pass();
  expect(chain).toHaveBeenCalledTimes(1);
  await pass(60_000);
  expect(server.jobs).toHaveBeenCalledTimes(1);
  error.mockRestore();
});
