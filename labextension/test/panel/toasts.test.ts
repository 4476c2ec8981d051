// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { JobsModel } from '../../src/panel/jobsModel';
import { Toaster } from '../../src/panel/toasts';
import type { Denial, News } from '../../src/wire/jobFeed';
import { type JobInfo, PROTOCOL } from '../../src/wire/types';

/** Lab's notifications, without the rest of a package that needs a whole browser. */
const shown = vi.hoisted(() => new Map<string, string>());
vi.mock('@jupyterlab/apputils', () => ({
  Notification: {
    emit: (message: string) => {
      const id = String(shown.size);
      shown.set(id, message);
      return id;
    },
    dismiss: (id: string) => shown.delete(id)
  }
}));

const denial: Denial = { code: 'signed_out', message: 'Sign in again: reload this page', since: 1 };
const preferences = { remoteImages: false, toasts: true };
let jobs: Pick<JobInfo, 'id' | 'status'>[];
let hear: (news: News) => void;
let model: JobsModel;
let toaster: Toaster;

const toasts = (): string[] => [...shown.values()];

beforeEach(async () => {
  vi.useFakeTimers();
  preferences.toasts = true;
  jobs = [{ id: 'j', status: 'running' }];
  const server = {
    jobs: () => Promise.resolve({ jobs, next: null }),
    notices: () => Promise.resolve({ notices: [], unread: 0 }),
    mutes: () => Promise.resolve([]),
    status: () => Promise.resolve({}),
    costs: () => Promise.resolve({ costs: [], today: '' })
  };
  model = new JobsModel(
    {
      listen: listener => {
        hear = listener;
        return { dispose: () => undefined };
      }
    },
    server as never
  );
  toaster = new Toaster(model, preferences, { mayShow: () => Promise.resolve(true) }, () => undefined);
  await begin();
});

async function begin(): Promise<void> {
  hear({ type: 'hello', version: '', protocol: PROTOCOL, server: 's' });
  await vi.advanceTimersByTimeAsync(1000);
}

afterEach(() => {
  toaster.dispose();
  model.dispose();
  shown.clear();
  vi.useRealTimers();
});

it('a signed-out page shows one toast while jobs run, until a sign-in', async () => {
  hear({ type: 'offline', denial: null });
  expect(toasts()).toEqual([]);
  hear({ type: 'offline', denial });
  hear({ type: 'offline', denial });
  expect(toasts()).toEqual(['Background answers: Sign in again: reload this page']);
  await begin();
  expect(toasts()).toEqual([]);
});

it('a signed-out page without running jobs shows no toast', async () => {
  jobs = [{ id: 'j', status: 'completed' }];
  await begin();
  hear({ type: 'offline', denial });
  expect(toasts()).toEqual([]);
});

it('no toast is shown if toasts are off or the user may not read', () => {
  hear({ type: 'offline', denial: { ...denial, code: 'forbidden' } });
  preferences.toasts = false;
  hear({ type: 'offline', denial });
  expect(toasts()).toEqual([]);
});
