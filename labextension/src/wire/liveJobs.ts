/**
 * The jobs that a page follows, by its one WebSocket. All views of a job share one follow and one folded state.
 *
 * After a reconnect it continues from its cursors. A problem of the connection is never shown as the job's: followers
 * get `online: false` and keep their state.
 */

import { trans } from '../translation';
import { Connection, type ConnectionOptions } from './socket';
import { type Disposable, type Followed, type Follower, type JobFeed, type News, emitAll } from './jobFeed';
import { apply, applyAttempts, applyTimes, EMPTY_ANSWER, firstOf, type FreshLists, hasEnded, NO_TIMES } from './fold';
import type { ImageInfo, ServerFrame, WireEvent } from './types';

export interface LiveOptions extends ConnectionOptions {
  cancel: (job: string) => Promise<unknown>;
  image: (job: string, image: ImageInfo) => Promise<Blob>;
}

/** Frames in a row that do not match the state, after which the page gives up. */
const MOST_MISFITS = 8;

interface Entry {
  state: Followed;
  followers: Set<Follower>;
  /** Frames in a row that did not fit. */
  misfits: number;
}

const FRESH = {
  answer: EMPTY_ANSWER,
  times: NO_TIMES,
  attempts: [],
  cursor: null,
  closed: false,
  trouble: null,
  denial: null
};

export class Live implements JobFeed {
  constructor(private readonly _options: LiveOptions) {
    this._connection = new Connection(_options, {
      hear: frame => this._hear(frame),
      offline: () => this._goOffline()
    });
  }

  dispose(): void {
    this._connection.dispose();
    this._denyLeaseRequests();
    this._entries.clear();
    this._listeners.clear();
  }

  follow(job: string, follower: Follower): Disposable {
    let entry = this._entries.get(job);
    if (entry === undefined) {
      const { isOnline: online, denial } = this._connection;
      entry = { state: { ...FRESH, online, denial }, followers: new Set(), misfits: 0 };
      this._entries.set(job, entry);
      this._ask(job, entry);
    }
    entry.followers.add(follower);
    follower(entry.state);
    return { dispose: () => this._unfollow(job, follower) };
  }

  async cancel(job: string): Promise<void> {
    await this._options.cancel(job);
  }

  image(job: string, image: ImageInfo): Promise<Blob> {
    return this._options.image(job, image);
  }

  seen(job: string, cursor: string): void {
    if (this._connection.isOnline) {
      this._connection.send({ type: 'seen', job, cursor });
    } else {
      this._unsent.set(job, cursor);
    }
  }

  /** Request the save lease: the right to write the end of a job or batch into a shared document. */
  mayWrite(document: string, job: string): Promise<boolean> {
    if (!this._connection.isOnline) {
      return Promise.resolve(false);
    }
    const answer = new Promise<boolean>(resolve => this._leaseRequests.push({ document, job, resolve }));
    this._connection.send({ type: 'write', document, job });
    return answer;
  }

  /** Call back with the server's hints, which do not contain the state of followed jobs. */
  listen(listener: (news: News) => void): Disposable {
    this._listeners.add(listener);
    return { dispose: () => void this._listeners.delete(listener) };
  }

  private _unfollow(job: string, follower: Follower): void {
    const entry = this._entries.get(job);
    if (entry?.followers.delete(follower) && entry.followers.size === 0) {
      this._entries.delete(job);
      this._connection.send({ type: 'unfollow', job });
    }
  }

  private _hear(frame: ServerFrame): void {
    switch (frame.type) {
      case 'hello':
        this._greet();
        this._report(frame);
        break;
      case 'events':
        this._read(frame.job, frame.events, frame.cursor, frame.closed);
        break;
      case 'job':
        this._hint(frame.job, frame.status === 'deleted');
        this._report(frame);
        break;
      case 'batch':
      case 'notice':
        this._report(frame);
        break;
      case 'write':
        this._decide(frame);
        break;
      case 'reset':
        this._restart(frame.job);
        break;
      case 'error':
        this._refuse(frame);
        break;
      case 'beat':
        break;
    }
  }

  private _goOffline(): void {
    const { denial } = this._connection;
    this._denyLeaseRequests(); // a lease is lost with its socket
    for (const entry of this._entries.values()) {
      this._tell(entry, { online: false, denial });
    }
    this._report({ type: 'offline', denial });
  }

  private _greet(): void {
    for (const [job, entry] of this._entries) {
      this._ask(job, entry);
      this._tell(entry, { online: true, trouble: null, denial: null });
    }
    for (const [job, cursor] of this._unsent) {
      this._connection.send({ type: 'seen', job, cursor });
    }
    this._unsent.clear();
  }

  private _read(job: string, events: WireEvent[], cursor: string, closed: boolean): void {
    const entry = this._entries.get(job);
    if (entry === undefined) {
      return; // it was under way when the last follower left
    }
    let { answer, times, attempts } = entry.state;
    const fresh: FreshLists = new WeakSet();
    try {
      for (const event of events) {
        // A frame of an earlier follow may arrive after a new follow: a known event is not an error.
        if (event.seq > answer.seq) {
          const before = answer;
          answer = apply(before, event, fresh);
          attempts = applyAttempts(attempts, before, event);
          times = applyTimes(times, event);
        }
      }
    } catch (error) {
      this._misfit(job, entry, events, error);
      return;
    }
    if (answer !== entry.state.answer) {
      entry.misfits = 0; // known events prove nothing: a kernel repeats a whole log
    }
    this._tell(entry, { answer, times, attempts, cursor, closed, online: true, trouble: null });
  }

  /** Follow again from the last cursor after a frame that does not fit, and give up after too many. */
  private _misfit(job: string, entry: Entry, events: WireEvent[], error: unknown): void {
    if (++entry.misfits < MOST_MISFITS) {
      this._ask(job, entry);
      return;
    }
    console.error(`jupyter_bgstream: the log of ${job} does not fit at event ${events.map(firstOf)[0] ?? 0}`, error);
    const message = trans.__('The server sent a log that this page cannot read.');
    this._tell(entry, { trouble: { code: 'bad_log', message } });
  }

  private _hint(job: string, deleted: boolean): void {
    const entry = this._entries.get(job);
    if (entry === undefined) {
      return;
    }
    if (deleted) {
      this._tell(entry, { trouble: { code: 'not_found', message: trans.__('This job was deleted.') } });
    } else if (entry.state.trouble !== null && entry.misfits < MOST_MISFITS) {
      this._ask(job, entry); // it was missing and exists now
    }
  }

  private _decide({ document, job, granted }: Extract<ServerFrame, { type: 'write' }>): void {
    const decided = this._leaseRequests.filter(each => each.document === document && each.job === job);
    this._leaseRequests = this._leaseRequests.filter(each => !decided.includes(each));
    decided.forEach(({ resolve }) => resolve(granted));
  }

  private _denyLeaseRequests(): void {
    this._leaseRequests.splice(0).forEach(({ resolve }) => resolve(false));
  }

  private _restart(job: string): void {
    const entry = this._entries.get(job);
    if (entry !== undefined) {
      this._tell(entry, FRESH);
      this._ask(job, entry);
    }
  }

  private _refuse({ job, code, message }: Extract<ServerFrame, { type: 'error' }>): void {
    const entry = job === null ? undefined : this._entries.get(job);
    if (entry === undefined) {
      console.warn(`jupyter_bgstream: ${message} (${code})`);
      this._denyLeaseRequests(); // the server may have refused one of them
    } else {
      this._tell(entry, { trouble: { code, message } });
    }
  }

  private _ask(job: string, entry: Entry): void {
    // An ended job with its whole log needs no follow, not even after a reconnect.
    if (!(entry.state.closed && hasEnded(entry.state.answer.status))) {
      this._connection.send({ type: 'follow', job, cursor: entry.state.cursor });
    }
  }

  private _tell(entry: Entry, change: { [name in keyof Followed]?: Followed[name] }): void {
    entry.state = { ...entry.state, ...change };
    emitAll(entry.followers, entry.state);
  }

  private _report(news: News): void {
    emitAll(this._listeners, news);
  }

  private readonly _connection: Connection;
  private readonly _entries = new Map<string, Entry>();
  private readonly _listeners = new Set<(news: News) => void>();
  /** The cursors seen while there was no socket: the newest by job. */
  private readonly _unsent = new Map<string, string>();
  /** Requests to write that the server has not decided yet. */
  private _leaseRequests: { document: string; job: string; resolve: (granted: boolean) => void }[] = [];
}
