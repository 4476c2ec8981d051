import { vi } from 'vitest';

import { RequestError } from '../src/wire/restClient';
import type { Job, Message, ModelList, ThreadMessage, Status, Thread } from '../src/wire/types';

/** A job of a thread, in lists. */
export function jobOf(id: string, status: Status, more: Partial<Job> = {}): Job {
  return {
    id,
    status,
    model: 'p/m',
    title: `Title of ${id}`,
    preview: '',
    thread: 'trip',
    batch: null,
    source: null,
    submitted_by: null,
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

export function threadOf(name: string, more: Partial<Thread> = {}): Thread {
  return {
    name,
    jobs: 1,
    status: 'completed',
    model: 'p/m',
    title: 'T',
    updated_at: 1,
    forked_from: null,
    ...more
  };
}

/** What is said in one turn: asked and, unless it goes on, answered. */
export function saidBy(job: string | null, question: string, answer?: string): ThreadMessage[] {
  const status = answer === undefined ? 'running' : 'completed';
  return [
    { role: 'user', content: question, job, status },
    ...(answer === undefined ? [] : [{ role: 'assistant', content: answer, job, status } as const])
  ];
}

/** A server with these threads; whatever is set here is what it answers. */
export function serverOf() {
  const has = {
    threads: [] as Thread[],
    said: {} as Record<string, ThreadMessage[]>,
    /** The newest first. */
    jobs: [] as Job[],
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
    messages: vi.fn((job: string): Promise<Message[]> =>
      Promise.resolve([{ role: 'user', content: `Whole question of ${job}` }])
    ),
    submit: vi.fn((question: { id: string; prompt: string }) => Promise.resolve(jobOf(question.id, 'queued'))),
    fork: vi.fn((_: string, name: string) => Promise.resolve(threadOf(name))),
    rename: vi.fn((_: string, name: string) => Promise.resolve(threadOf(name))),
    removeThread: vi.fn((name: string) => {
      has.threads = has.threads.filter(each => each.name !== name);
      return Promise.resolve();
    }),
    models: vi.fn(() =>
      Promise.resolve<ModelList>({ default: 'p/m', aliases: { best: 'p/m' }, providers: [{ models: ['p/m', 'p/n'] }] })
    ),
    mayWrite: vi.fn(() => Promise.resolve(has.mayWrite))
  };
}

export const refused = (status: number, code: string, message: string): RequestError =>
  new RequestError(status, code, message);
