/**
 * Chains of retries.
 *
 * An ended job never reopens: a retry is a new job. A view of the old job shows the newest, wherever and whenever it
 * was submitted. The log has no retries, so the records of the watched jobs are read: of all when the socket opens, and
 * of one when the server hints at it.
 */

import { type Disposable, type News, emitAll } from './jobFeed';
import { hasEnded } from './fold';
import type { Live } from './liveJobs';
import type { JobInfo } from './types';

/** Length of a followed chain, in each direction. */
const DEPTH = 50;
/** Jobs in one request. */
const PAGE = 500;
/** Delay after a failed read, unless the socket opens first. */
const AGAIN = 5000; // ms

/** Jobs, the oldest first; each retries the one before it. Empty while unknown. */
export type Chain = readonly JobInfo[];

/** Chains of retries, for views. */
export interface Chains {
  /** Call back with the chain of a job, once it is known and whenever it changes. */
  watch(job: string, watcher: (chain: Chain) => void): Disposable;
  /** Retry an ended job and mark its end (`cursor`, if known) as seen. Watchers get the chain before this resolves. */
  retry(job: string, cursor: string | null): Promise<void>;
}

interface Server {
  jobs(limit: number, which: { ids: string }): Promise<{ jobs: JobInfo[] }>;
  retry(job: string): Promise<JobInfo>;
}

interface Watched {
  watchers: Set<(chain: Chain) => void>;
  reported: Chain;
}

export class RetryChains implements Chains {
  constructor(
    private readonly _live: Pick<Live, 'listen' | 'seen'>,
    private readonly _server: Server
  ) {
    this._listening = _live.listen(news => this._hear(news));
  }

  dispose(): void {
    this._listening.dispose();
    clearTimeout(this._timer);
    this._wanted.clear();
    this._watched.clear();
    this._listeners.clear();
  }

  watch(job: string, watcher: (chain: Chain) => void): Disposable {
    let watched = this._watched.get(job);
    if (watched === undefined) {
      watched = { watchers: new Set(), reported: this._chain(job) };
      this._watched.set(job, watched);
      this._want(job);
    }
    const { watchers, reported } = watched;
    watchers.add(watcher);
    if (reported.length > 0) {
      watcher(reported);
    }
    return {
      dispose: () => {
        if (watchers.delete(watcher) && watchers.size === 0 && this._watched.get(job)?.watchers === watchers) {
          this._watched.delete(job);
        }
      }
    };
  }

  async retry(job: string, cursor: string | null): Promise<void> {
    const next = await this._server.retry(job);
    if (cursor !== null) {
      this._live.seen(job, cursor);
    }
    const asked = this._records.get(job);
    if (asked != null) {
      this._records.set(job, { ...asked, retried_by: next.id });
    }
    this._records.set(next.id, next);
    this._want(job);
    this._tell();
    emitAll(this._listeners, next.id);
  }

  /** Call back with each job that this page submits as a retry. */
  onRetry(listener: (job: string) => void): Disposable {
    this._listeners.add(listener);
    return { dispose: () => void this._listeners.delete(listener) };
  }

  /** Return the ids of the jobs in a job's chain as far as this page knows, with its own. */
  async chainIds(job: string): Promise<readonly string[]> {
    if (this._chain(job).length === 0) {
      try {
        await this._read(new Set([job]));
      } catch {
        // Then only this job of the chain is known.
      }
    }
    const chain = this._chain(job).map(({ id }) => id);
    return chain.length > 0 ? chain : [job];
  }

  private _hear(news: News): void {
    if (news.type === 'hello') {
      this._online = true;
      this._watched.forEach((_, job) => this._want(job));
      this._records.forEach((_, job) => this._wanted.add(job));
    } else if (news.type === 'offline') {
      this._online = false;
    } else if (news.type === 'job' && (this._watched.has(news.job) || this._records.has(news.job))) {
      if (news.status === 'deleted') {
        this._records.set(news.job, null);
        this._tell();
      } else if (hasEnded(news.status)) {
        this._want(news.job); // it ended just now, or was retried
      }
    }
  }

  private _want(job: string): void {
    this._wanted.add(job);
    if (this._online) {
      this._soon(0);
    }
  }

  private _soon(ms: number): void {
    if (ms > 0 && this._timer !== undefined) {
      return;
    }
    clearTimeout(this._timer);
    this._timer = setTimeout(() => {
      this._timer = undefined;
      void this._readWanted();
    }, ms);
  }

  private async _readWanted(): Promise<void> {
    const wanted = new Set(this._wanted);
    this._wanted.clear();
    try {
      await this._read(wanted);
      this._tell();
    } catch {
      // The panel shows that the server does not answer; the views stay as they are.
      wanted.forEach(job => this._wanted.add(job));
      this._soon(AGAIN);
    }
  }

  /** Read records, and the unknown records that they name. */
  private async _read(wanted: Set<string>): Promise<void> {
    for (let step = 0; step < DEPTH && wanted.size > 0; step++) {
      const ids = [...wanted];
      wanted = new Set();
      for (let from = 0; from < ids.length; from += PAGE) {
        const page = ids.slice(from, from + PAGE);
        const { jobs } = await this._server.jobs(PAGE, { ids: page.join(',') });
        page.forEach(id => this._records.set(id, null));
        for (const job of jobs) {
          this._records.set(job.id, job);
        }
        for (const { retry_of, retried_by } of jobs) {
          [retry_of, retried_by].forEach(id => id != null && !this._records.has(id) && wanted.add(id));
        }
      }
    }
  }

  private _tell(): void {
    for (const [job, watched] of this._watched) {
      const chain = this._chain(job);
      if (chain.length !== watched.reported.length || chain.some((each, i) => each !== watched.reported[i])) {
        watched.reported = chain;
        emitAll(watched.watchers, chain);
      }
    }
  }

  private _chain(job: string): Chain {
    const here = this._records.get(job);
    if (here == null) {
      return [];
    }
    const chain = [here];
    const known = new Set([job]);
    const next = (id: string | null): JobInfo | null => {
      const record = id === null || known.has(id) || known.size > 2 * DEPTH ? null : (this._records.get(id) ?? null);
      if (record !== null) {
        known.add(record.id);
      }
      return record;
    };
    for (let older = next(here.retry_of); older !== null; older = next(older.retry_of)) {
      chain.unshift(older);
    }
    for (let newer = next(here.retried_by); newer !== null; newer = next(newer.retried_by)) {
      chain.push(newer);
    }
    return chain;
  }

  /** The server's record of a job; null if it has none of that id. */
  private readonly _records = new Map<string, JobInfo | null>();
  private readonly _watched = new Map<string, Watched>();
  private readonly _wanted = new Set<string>();
  private readonly _listeners = new Set<(job: string) => void>();
  private readonly _listening: Disposable;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _online = false;
}
