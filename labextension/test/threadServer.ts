import { vi } from 'vitest';

import { RequestError } from '../src/wire/restClient';
import type {
  JobInfo,
  JobSubmission,
  MessageInfo,
  ModelsInfo,
  ThreadMessageInfo,
  Status,
  ThreadInfo
} from '../src/wire/types';

/** A job of a thread, in lists. */
export function jobOf(id: string, status: Status, more: Partial<JobInfo> = {}): JobInfo {
  return {
    id,
    status,
    model: 'p/m',
    title: `Title of ${id}`,
    preview: '',
    thread: 'trip',
    batch: null,
    tags: [],
    priority: 'interactive',
    on_restart: 'interrupt',
    retry_policy: 'before_first_token',
    source: { notebook: null, cell: null, kernel: null },
    submitted_by: null,
    attempt: 1,
    cursor: 'c',
    created_at: 1,
    started_at: null,
    ended_at: null,
    not_before: null,
    usage: null,
    cost: null,
    finish_reason: null,
    error: null,
    retry_of: null,
    retried_by: null,
    ...more
  };
}

export function threadOf(name: string, more: Partial<ThreadInfo> = {}): ThreadInfo {
  return {
    name,
    jobs: 1,
    status: 'completed',
    model: 'p/m',
    title: 'T',
    created_at: 1,
    updated_at: 1,
    forked_from: null,
    ...more
  };
}

/** The available models, of one provider. */
export function modelsOf(shown: Pick<ModelsInfo, 'default' | 'aliases'>, ...models: string[]): ModelsInfo {
  const provider = { name: 'p', kind: 'test', models, error: null, note: null, configured: true };
  return { ...shown, default_why: null, problems: [], providers: [provider] };
}

/** What is said in one turn: asked and, unless it goes on, answered. */
export function saidBy(job: string | null, question: string, answer?: string): ThreadMessageInfo[] {
  const status = answer === undefined ? 'running' : 'completed';
  return [
    { role: 'user', content: question, job, status },
    ...(answer === undefined ? [] : [{ role: 'assistant', content: answer, job, status } as const])
  ];
}

/** A server with these threads; whatever is set here is what it answers. */
export function serverOf() {
  const has = {
    threads: [] as ThreadInfo[],
    said: {} as Record<string, ThreadMessageInfo[]>,
    /** The newest first. */
    jobs: [] as JobInfo[],
    viewer: null as string | null,
    mayWrite: true
  };
  return {
    has,
    threads: vi.fn((which: { limit: string } | { thread: string }) => {
      const threads = has.threads.filter(({ name }) => !('thread' in which) || which.thread === name);
      return Promise.resolve({ threads, next: null });
    }),
    threadMessages: vi.fn((thread: string) => Promise.resolve(has.said[thread] ?? [])),
    jobs: vi.fn((_: number, which: { thread?: string; ids?: string } = {}) => {
      const ids = which.ids?.split(',');
      const jobs = has.jobs.filter(({ id, thread }) => ids?.includes(id) ?? thread === which.thread);
      return Promise.resolve({ jobs, next: null, viewer: has.viewer });
    }),
    messages: vi.fn((job: string): Promise<MessageInfo[]> =>
      Promise.resolve([{ role: 'user', content: `Whole question of ${job}` }])
    ),
    submit: vi.fn((question: JobSubmission) => Promise.resolve(jobOf(question.id ?? '', 'queued'))),
    fork: vi.fn((_: string, name: string) => Promise.resolve(threadOf(name))),
    rename: vi.fn((_: string, name: string) => Promise.resolve(threadOf(name))),
    removeThread: vi.fn((name: string) => {
      has.threads = has.threads.filter(each => each.name !== name);
      return Promise.resolve();
    }),
    models: vi.fn(() => Promise.resolve(modelsOf({ default: 'p/m', aliases: { best: 'p/m' } }, 'p/m', 'p/n'))),
    mayWrite: vi.fn(() => Promise.resolve(has.mayWrite))
  };
}

export const refused = (status: number, code: string, message: string): RequestError =>
  new RequestError(status, code, message);
