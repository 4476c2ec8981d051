import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { JobsModel } from '../../src/panel/jobsModel';
import type { News } from '../../src/wire/jobFeed';
import {
  type CostList,
  type Inbox,
  type JobInfo,
  type JobPage,
  type Mute,
  type NoticeInfo,
  PROTOCOL,
  type ServerStatus
} from '../../src/wire/types';
import { inboxOf, notice, pageOf, read, statusOf } from './serverAnswers';

let hear: (news: News) => void;
let inbox: Inbox;
let jobs: JobInfo[];
let mutes: Mute[];
let status: ServerStatus;
let costs: CostList;
let model: JobsModel;
let arrived: string[];

const server = {
  jobs: vi.fn((): Promise<JobPage> => Promise.resolve(pageOf(jobs))),
  notices: vi.fn(() => Promise.resolve(inbox)),
  cancel: vi.fn(() => Promise.resolve({} as JobInfo)),
  remove: vi.fn(() => Promise.resolve()),
  markRead: vi.fn(() => Promise.resolve(read(inbox))),
  dismiss: vi.fn(() => Promise.resolve()),
  mutes: vi.fn(() => Promise.resolve(mutes)),
  mute: vi.fn((mute: Mute, on: boolean) => Promise.resolve((mutes = on ? [mute] : []))),
  status: vi.fn(() => Promise.resolve(status)),
  costs: vi.fn<(since: number) => Promise<CostList>>(() => Promise.resolve(costs))
};

const hello: News = { type: 'hello', version: '0', protocol: PROTOCOL, server: 's' };
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  inbox = inboxOf();
  jobs = [];
  mutes = [];
  status = statusOf();
  costs = { by: 'day', costs: [], today: '2026-11-21' };
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
  it('have the name of the viewer, except from older servers', async () => {
    hear(hello);
    await pass(1000);
    expect(model.viewer).toBeNull();
    server.jobs.mockImplementationOnce(() => Promise.resolve({ jobs, next: null, viewer: 'ada' }));
    hear({ type: 'job', job: 'j', status: 'queued' });
    await pass(1000);
    expect(model.viewer).toBe('ada');
  });

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

  it('are read less and less often while hints keep coming, and then once more', async () => {
    hear(hello);
    for (let ms = 0; ms < 60_000; ms += 10) {
      hear({ type: 'job', job: `j${ms}`, status: 'completed' });
      await pass(10);
    }
    expect(server.jobs.mock.calls.length).toBeLessThanOrEqual(30);
    jobs = [{ id: 'last' } as JobInfo];
    await pass(2500);
    expect(model.jobs).toEqual([{ id: 'last' }]);
    await pass(2500);
    server.jobs.mockClear();
    hear({ type: 'job', job: 'j', status: 'queued' });
    await pass(0);
    expect(server.jobs).toHaveBeenCalledOnce();
  });

  it('are read again after a hint that comes while they are read', async () => {
    let answer: (page: JobPage) => void = () => undefined;
    server.jobs.mockImplementationOnce(() => new Promise(resolve => (answer = resolve)));
    hear(hello);
    hear({ type: 'job', job: 'j', status: 'queued' });
    jobs = [{ id: 'j' } as JobInfo];
    answer(pageOf([]));
    await pass(1000);
    expect(model.jobs).toEqual([{ id: 'j' }]);
  });

  it('report when they may be outdated', async () => {
    hear(hello);
    await pass(0);
    expect(model.trouble).toBeNull();
    hear({ type: 'offline' });
    expect(model.trouble).toBe('Reconnecting…');
    server.jobs.mockRejectedValueOnce(new Error('No.'));
    hear(hello);
    await pass(1000);
    expect(model.trouble).toBe('No.');
  });

  it('report the reason of a refusing server while there is no socket', async () => {
    const refuse = (status: number, code: string): void =>
      void server.status.mockRejectedValueOnce(Object.assign(new Error('The disk is full.'), { status, code }));
    refuse(503, 'unavailable');
    hear({ type: 'offline' });
    expect(model.trouble).toBe('Reconnecting…');
    await pass(0);
    expect(model.trouble).toBe('The disk is full.');
    refuse(0, 'unreachable');
    hear({ type: 'offline' });
    await pass(0);
    expect(model.trouble).toBe('Reconnecting…');
    refuse(503, 'unavailable');
    hear({ type: 'offline' });
    hear(hello);
    await pass(0);
    expect(model.trouble).toBeNull();
  });

  it('are not updated while the page is denied access', async () => {
    jobs = [{ id: 'j', status: 'running' } as JobInfo];
    hear(hello);
    await pass(1000);
    const looking = model.look();
    const since = Date.now() / 1000;
    hear({ type: 'offline', denial: { code: 'signed_out', message: 'Sign in again', since } });
    server.jobs.mockClear();
    await pass(60_000);
    expect([model.trouble, model.now, model.denial?.code]).toEqual(['Sign in again', since, 'signed_out']);
    expect(server.jobs).not.toHaveBeenCalled();
    hear(hello);
    expect([model.trouble, model.now, model.denial]).toEqual([null, Date.now() / 1000, null]);
    looking.dispose();
  });

  it('are read periodically while they are visible and a job runs', async () => {
    jobs = [{ id: 'j', status: 'running' } as JobInfo];
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

describe('the unread count', () => {
  beforeEach(async () => {
    hear(hello);
    await pass(1000);
  });

  const comes = async (...notices: NoticeInfo[]): Promise<void> => {
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

  it('does not rise if a view has shown the end', async () => {
    await comes(notice('a'));
    await pass(1000);
    await comes(notice('a', 3));
    await pass(5000);
    expect([model.unread, arrived, model.notices.length]).toEqual([0, [], 1]);
  });

  it('reports the arrival of a notice once, even if it is read repeatedly', async () => {
    await comes(notice('a'));
    await pass(3000);
    await comes(notice('a'));
    hear(hello);
    await pass(5000);
    expect(arrived).toEqual(['a']);
  });

  it('has older notices at once, without reporting their arrival', async () => {
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

  it('is that of the server after a notice is marked as read', async () => {
    await comes(notice('a'), notice('b'));
    await pass(3000);
    expect(model.unread).toBe(2);
    await model.markRead('a');
    expect(server.markRead).toHaveBeenCalledWith({ ids: ['a'] });
    expect(model.unread).toBe(0);
    expect(model.calls('a')).toBe(false);
  });
});

describe('a muted notice', () => {
  const muted: Mute = { kind: 'notebook', name: 'a.ipynb' };

  beforeEach(async () => {
    hear(hello);
    await pass(1000);
  });

  it('is listed at once without an arrival, even after the mute ends', async () => {
    inbox = inboxOf({ ...notice('quiet'), muted: true });
    hear({ type: 'notice' });
    await pass(0);
    expect([model.notices.length, model.unread, model.calls('quiet')]).toEqual([1, 0, false]);
    inbox = inboxOf(notice('quiet'));
    hear({ type: 'notice' });
    await pass(5000);
    expect([model.unread, arrived]).toEqual([1, []]);
  });

  it('that is muted before its arrival does not arrive', async () => {
    inbox = inboxOf(notice('a'));
    hear({ type: 'notice' });
    await pass(1000);
    inbox = inboxOf({ ...notice('a'), muted: true });
    hear({ type: 'notice' });
    await pass(5000);
    expect([model.unread, arrived]).toEqual([0, []]);
  });

  it('is muted on the server, and other tabs get the mute', async () => {
    await model.mute(muted, true);
    expect(server.mute).toHaveBeenCalledWith(muted, true);
    expect(model.isMuted(muted)).toBe(true);
    expect(model.isMuted({ kind: 'thread', name: 'a.ipynb' })).toBe(false);
    mutes = []; // taken back in another tab
    hear({ type: 'notice' });
    await pass(1000);
    expect(model.mutes).toEqual([]);
  });
});

describe('the jobs of a batch', () => {
  it('replace the list of all jobs until the filter is removed', async () => {
    hear(hello);
    await pass(1000);
    model.filter = { batch: 'g', title: 'Many' };
    await pass(1000);
    expect(server.jobs).toHaveBeenLastCalledWith(100, { batch: 'g' });
    model.filter = null;
    await pass(1000);
    expect(server.jobs).toHaveBeenLastCalledWith(100, {});
  });

  it('are dropped if they arrive after the filter is removed', async () => {
    hear(hello);
    await pass(1000);
    let answer: (page: JobPage) => void = () => undefined;
    server.jobs.mockImplementationOnce(() => new Promise(resolve => (answer = resolve)));
    model.filter = { batch: 'g', title: 'Many' };
    await pass(0);
    model.filter = null;
    jobs = [{ id: 'all' } as JobInfo];
    answer(pageOf([{ id: 'of-g' } as JobInfo]));
    await pass(0);
    expect(model.jobs).toEqual([]);
    await pass(1000);
    expect(model.jobs).toEqual([{ id: 'all' }]);
  });
});

describe('warnings', () => {
  it('are empty if the server has none', async () => {
    hear(hello);
    await pass(1000);
    expect([model.warnings, model.trouble]).toEqual([[], null]);
  });

  it('are read for a visible panel, and dismissed ones do not return', async () => {
    hear(hello);
    await pass(1000);
    status = statusOf('The disk is nearly full.');
    model.look().dispose();
    await pass(1000);
    expect(model.warnings).toEqual(['The disk is nearly full.']);
    model.dismissWarnings();
    status = statusOf('The disk is nearly full.', 'A file was corrupt.');
    hear(hello);
    await pass(1000);
    expect(model.warnings).toEqual(['A file was corrupt.']);
  });
});

describe('the cost of today', () => {
  const day = (key: string, usd: number | null, estimated = false): CostList['costs'][number] => ({
    key,
    jobs: 1,
    input_tokens: null,
    output_tokens: null,
    usd,
    estimated
  });

  it('is read while the panel is visible, and again after a job has changed', async () => {
    vi.setSystemTime(Date.UTC(2026, 10, 21, 12));
    hear(hello);
    await pass(500);
    expect(server.costs).not.toHaveBeenCalled();
    const looking = model.look();
    costs = { ...costs, costs: [day('2026-11-21', 0.5, true), day('2026-11-20', 9)] };
    hear({ type: 'job', job: 'j', status: 'completed' });
    await pass(500);
    expect(model.today).toEqual({ usd: 0.5, estimated: true });
    expect(server.costs.mock.calls[0]?.[0]).toBeCloseTo(Date.UTC(2026, 10, 19, 12) / 1000, -1);
    looking.dispose();
    const before = server.costs.mock.calls.length;
    hear({ type: 'job', job: 'j', status: 'completed' });
    await pass(500);
    expect(server.costs.mock.calls.length).toBe(before);
  });

  it.each([
    ['no costs', []],
    ['unknown costs', [day('2026-11-21', null)]],
    ['costs of yesterday only', [day('2026-11-20', 1)]]
  ])('is not shown with %s', async (_, rows) => {
    hear(hello);
    costs = { ...costs, costs: rows };
    model.look();
    await pass(500);
    expect(server.costs).toHaveBeenCalled();
    expect(model.today).toBeNull();
  });

  it('causes no error if the server does not know it', async () => {
    server.costs.mockRejectedValueOnce(new Error('There is nothing here.'));
    hear(hello);
    model.look();
    await pass(500);
    expect([model.today, model.trouble]).toEqual([null, null]);
  });
});
