import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { News } from '../src/live';
import { JobsModel } from '../src/model';
import type { Inbox, Job, Notice } from '../src/wire';

let hear: (news: News) => void;
let inbox: Inbox;
let jobs: Job[];
let model: JobsModel;
let arrived: string[];

const server = {
  jobs: vi.fn(() => Promise.resolve({ jobs, next: null })),
  notices: vi.fn(() => Promise.resolve(inbox)),
  cancel: vi.fn(() => Promise.resolve({} as Job)),
  remove: vi.fn(() => Promise.resolve()),
  markRead: vi.fn(() => Promise.resolve(read(inbox))),
  dismiss: vi.fn(() => Promise.resolve())
};

const notice = (id: string, read_at: number | null = null): Notice => ({
  id,
  job: `job-${id}`,
  status: 'completed',
  title: id,
  preview: '',
  source: null,
  created_at: 1,
  read_at
});

const inboxOf = (...notices: Notice[]): Inbox => ({
  notices,
  unread: notices.filter(({ read_at }) => read_at === null).length
});

const read = ({ notices }: Inbox): Inbox => inboxOf(...notices.map(each => ({ ...each, read_at: 2 })));

const hello: News = { type: 'hello', version: '0', protocol: 1, server: 's' };
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  inbox = inboxOf();
  jobs = [];
  arrived = [];
  model = new JobsModel(
    {
      listen: listener => {
        hear = listener;
        return { dispose: () => undefined };
      }
    },
    server
  );
  model.arrived.connect((_, { id }) => void arrived.push(id));
});

afterEach(() => {
  model.dispose();
  vi.useRealTimers();
  vi.clearAllMocks();
});

describe('the lists', () => {
  it('are read at the hello and again at hints, but not at each', async () => {
    hear(hello);
    await pass(1000);
    expect([server.jobs.mock.calls.length, server.notices.mock.calls.length]).toEqual([1, 1]);
    for (let n = 0; n < 50; n++) {
      hear({ type: 'job', job: 'j', status: 'running' });
      await pass(10);
    }
    await pass(1000);
    expect(server.jobs.mock.calls.length).toBeLessThanOrEqual(4);
    expect(server.notices).toHaveBeenCalledOnce();
  });

  it('a hint that comes while a list is read is not lost', async () => {
    let answer: (page: { jobs: Job[]; next: null }) => void = () => undefined;
    server.jobs.mockImplementationOnce(() => new Promise(resolve => (answer = resolve)));
    hear(hello);
    hear({ type: 'job', job: 'j', status: 'queued' });
    jobs = [{ id: 'j' } as Job];
    answer({ jobs: [], next: null });
    await pass(1000);
    expect(model.jobs).toEqual([{ id: 'j' }]);
  });

  it('say when they may be old', async () => {
    hear(hello);
    await pass(0);
    expect(model.trouble).toBeNull();
    hear({ type: 'offline' });
    expect(model.trouble).toBe('reconnecting…');
    server.jobs.mockRejectedValueOnce(new Error('No.'));
    hear(hello);
    await pass(1000);
    expect(model.trouble).toBe('No.');
  });

  it('are read for somebody who looks, while a job runs', async () => {
    jobs = [{ id: 'j', status: 'running' } as Job];
    hear(hello);
    await pass(1000);
    const looking = model.look();
    await pass(10_000);
    expect(server.jobs).toHaveBeenCalledTimes(3);
    looking.dispose();
    await pass(10_000);
    expect(server.jobs).toHaveBeenCalledTimes(3);
  });
});

describe('unread', () => {
  beforeEach(async () => {
    hear(hello);
    await pass(1000);
  });

  const comes = async (...notices: Notice[]): Promise<void> => {
    inbox = inboxOf(...notices);
    hear({ type: 'notice' });
    await pass(0);
  };

  it('waits two seconds for a view that has shown the end', async () => {
    await comes(notice('a'));
    expect([model.unread, model.notices.length]).toEqual([0, 0]);
    await pass(1999);
    expect([model.unread, arrived]).toEqual([0, []]);
    await pass(1);
    expect([model.unread, arrived]).toEqual([1, ['a']]);
  });

  it('and says nothing if one has', async () => {
    await comes(notice('a'));
    await pass(1000);
    await comes(notice('a', 3));
    await pass(5000);
    expect([model.unread, arrived, model.notices.length]).toEqual([0, [], 1]);
  });

  it('a notice arrives once, however often it is read from the server', async () => {
    await comes(notice('a'));
    await pass(3000);
    await comes(notice('a'));
    hear(hello);
    await pass(5000);
    expect(arrived).toEqual(['a']);
  });

  it('what was there before this page is counted at once and does not arrive', async () => {
    inbox = inboxOf(notice('old'));
    model.dispose();
    const late = new JobsModel({ listen: listener => ((hear = listener), { dispose: () => undefined }) }, server);
    late.arrived.connect((_, { id }) => void arrived.push(id));
    hear(hello);
    await pass(0);
    expect(late.unread).toBe(1);
    await pass(5000);
    expect(arrived).toEqual([]);
    late.dispose();
  });

  it('is the answer of the server after a click', async () => {
    await comes(notice('a'), notice('b'));
    await pass(3000);
    expect(model.unread).toBe(2);
    await model.markRead('a');
    expect(server.markRead).toHaveBeenCalledWith({ ids: ['a'] });
    expect(model.unread).toBe(0);
    expect(model.isUnread('a')).toBe(false);
  });
});
