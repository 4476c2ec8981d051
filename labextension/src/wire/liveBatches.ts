/**
 * Batches that this page follows: one object per batch, read again when the socket hints that a job changed.
 *
 * A hint names a job, not its batch, and a large batch causes thousands of hints. So a running batch is read at most
 * once per second. An ended batch is read again, less often, when jobs are queued: a retry reopens it.
 */

import { trans } from '../translation';
import { type Denial, type Disposable, type News, emitAll } from './jobFeed';
import { hasEnded } from './fold';
import type { Live } from './liveJobs';
import type { Requests } from './restClient';
import type { BatchInfo, ErrorInfo } from './types';

const SPACING = 1000; // ms between two reads of a batch
const SPACING_ENDED = 5000; // ms
/** For hidden pages: a notebook that is open there is saved when a batch ends. */
const SPACING_HIDDEN = 10_000; // ms
/** Delay after a failed read, unless the socket opens first. */
const AGAIN = 5000; // ms

/** Receives the current batch, null while it is unknown. `trouble`: why the batch may be outdated or is null. */
export type BatchFollower = (batch: BatchInfo | null, trouble: ErrorInfo | Denial | null) => void;

/**
 * `cancel` stops the jobs that have not ended, `retry` retries the rows without an answer and resumes a paused batch, and
 * `resume` only resumes it.
 */
export type BatchVerb = 'cancel' | 'retry' | 'resume';

/** Source of the batches of views. */
export interface BatchFeed {
  /** Call back with the batch now, before this returns, and whenever it changes. */
  follow(id: string, follower: BatchFollower): Disposable;
  change(id: string, verb: BatchVerb): Promise<void>;
  /** Report that a visible view has drawn the end: its notice is read. */
  seen(id: string): void;
  /** List the jobs of a batch, in pages with a list. */
  show?: (batch: { batch: string; title: string }) => void;
}

type Server = Pick<Requests, 'batch' | 'changeBatch' | 'notices' | 'markRead'>;

/** A followed batch. */
class Entry {
  batch: BatchInfo | null = null;
  trouble: ErrorInfo | null = null;
  readonly followers = new Set<BatchFollower>();
  /** Start of the last read, by the page's clock. */
  readAt = -Infinity;
  busy = false;
  /** Whether another read was requested during the current one. */
  again = false;
  /** Whether a request was answered during the current read, which may be older than that answer. */
  overtaken = false;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Batches implements BatchFeed {
  constructor(
    live: Pick<Live, 'listen'>,
    private readonly _server: Server
  ) {
    this._listening = live.listen(news => this._hear(news));
    globalThis.document.addEventListener('visibilitychange', this._look);
  }

  show?: BatchFeed['show'];

  dispose(): void {
    this._listening.dispose();
    globalThis.document.removeEventListener('visibilitychange', this._look);
    this._entries.forEach(entry => clearTimeout(entry.timer));
    this._entries.clear();
    this._listeners.clear();
  }

  follow(id: string, follower: BatchFollower): Disposable {
    const entry = this._entries.get(id) ?? new Entry();
    this._entries.set(id, entry);
    const { followers } = entry;
    followers.add(follower);
    follower(entry.batch, this._troubleOf(entry));
    if (entry.batch === null || hasEnded(entry.batch.status)) {
      this._ask(id, entry); // a new view may be there because the batch continues
    }
    return {
      dispose: () => {
        if (followers.delete(follower) && followers.size === 0 && this._entries.get(id)?.followers === followers) {
          clearTimeout(this._entries.get(id)?.timer);
          this._entries.delete(id);
        }
      }
    };
  }

  async change(id: string, verb: BatchVerb): Promise<void> {
    this._take(id, await this._server.changeBatch(id, verb));
    if (verb !== 'cancel') {
      emitAll(this._listeners, id);
    }
  }

  /** Call back with each batch that this page retries or resumes. */
  onRetry(listener: (batch: string) => void): Disposable {
    this._listeners.add(listener);
    return { dispose: () => void this._listeners.delete(listener) };
  }

  seen(id: string): void {
    // If it fails, the notice stays unread, and the next visible view reports the same.
    this._readNotice(id).catch(() => undefined);
  }

  private async _readNotice(batch: string): Promise<void> {
    const { notices } = await this._server.notices();
    const ids = notices.filter(each => each.batch === batch && each.job === null && each.read_at === null);
    if (ids.length > 0) {
      await this._server.markRead({ ids: ids.map(({ id }) => id) });
    }
  }

  private _hear(news: News): void {
    if (news.type === 'hello' || news.type === 'offline') {
      this._online = news.type === 'hello';
      this._denial = news.type === 'offline' ? (news.denial ?? null) : null;
      for (const [id, entry] of this._entries) {
        if (this._online) {
          this._askAnew(id, entry);
        } else {
          this._tell(entry);
        }
      }
    } else if (news.type === 'batch') {
      const entry = this._entries.get(news.batch);
      if (entry !== undefined) {
        this._ask(news.batch, entry);
      }
    } else if (news.type === 'job') {
      for (const [id, entry] of this._entries) {
        const isHere = entry.batch !== null && entry.trouble?.code !== 'not_found';
        const goesOn = isHere && !hasEnded(entry.batch?.status ?? 'new');
        // Only new jobs can change a batch that is missing or has ended.
        if (goesOn || news.status === 'queued') {
          this._ask(id, entry);
        }
      }
    }
  }

  /** Read it now or, after a recent read, as soon as the spacing permits. */
  private _ask(id: string, entry: Entry): void {
    if (entry.busy) {
      entry.again = true;
      return;
    }
    if (entry.timer !== undefined) {
      return;
    }
    const goesOn = entry.batch === null || !hasEnded(entry.batch.status);
    const spacing = isHidden() ? SPACING_HIDDEN : goesOn ? SPACING : SPACING_ENDED;
    this._in(Math.max(0, entry.readAt + spacing - Date.now()), id, entry);
  }

  /** The same, even if the read was delayed: the reason for the delay no longer holds. */
  private _askAnew(id: string, entry: Entry): void {
    clearTimeout(entry.timer);
    entry.timer = undefined;
    this._ask(id, entry);
  }

  private readonly _look = (): void => {
    if (!isHidden()) {
      this._entries.forEach((entry, id) => entry.timer !== undefined && this._askAnew(id, entry));
    }
  };

  private _in(ms: number, id: string, entry: Entry): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      entry.timer = undefined;
      void this._read(id, entry);
    }, ms);
  }

  private async _read(id: string, entry: Entry): Promise<void> {
    entry.busy = true;
    entry.again = false;
    entry.overtaken = false;
    entry.readAt = Date.now();
    let failed = false;
    try {
      const batch = await this._server.batch(id);
      const { overtaken } = entry as { overtaken: boolean };
      if (!overtaken) {
        entry.batch = batch;
        entry.trouble = null;
      }
    } catch (error) {
      const { code = 'unexpected', message } = error as Error & { code?: string };
      entry.trouble = { code, message };
      failed = code !== 'not_found';
    }
    entry.busy = false;
    if (this._entries.get(id) !== entry) {
      return;
    }
    this._tell(entry);
    const { again } = entry as { again: boolean };
    if (failed) {
      this._in(AGAIN, id, entry);
    } else if (again) {
      this._ask(id, entry);
    }
  }

  private _take(id: string, batch: BatchInfo): void {
    const entry = this._entries.get(id);
    if (entry !== undefined) {
      entry.batch = batch;
      entry.trouble = null;
      entry.overtaken = true;
      this._tell(entry);
      this._ask(id, entry);
    }
  }

  private _tell(entry: Entry): void {
    emitAll(entry.followers, entry.batch, this._troubleOf(entry));
  }

  private _troubleOf({ trouble }: Entry): ErrorInfo | Denial | null {
    return this._denial ?? (this._online === false ? { code: 'offline', message: trans.__('Reconnecting…') } : trouble);
  }

  private readonly _entries = new Map<string, Entry>();
  private readonly _listeners = new Set<(batch: string) => void>();
  private readonly _listening: Disposable;
  /** Whether the socket is open; undefined before it has opened. */
  private _online: boolean | undefined;
  private _denial: Denial | null = null;
}

function isHidden(): boolean {
  return globalThis.document.visibilityState === 'hidden';
}
