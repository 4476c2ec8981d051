/** The jobs and the inbox as this page knows them: read again whenever the server hints that they changed. */

import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { hasEnded } from './fold';
import type { Disposable, Live, News } from './live';
import type { Requests } from './request';
import type { Inbox, Job, Notice } from './wire';

/** How long a view has to say that the end was seen, before badge and toast speak of it. */
export const GRACE = 2000; // ms
/** However many hints come, a list is read at most this often. */
const SPACING = 300; // ms
/** How often the list is read while somebody looks at it and a job runs: previews grow without a hint. */
const LOOKED_AT = 5000; // ms
const LIMIT = 100;

type Server = Pick<Requests, 'jobs' | 'notices' | 'cancel' | 'remove' | 'markRead' | 'dismiss'>;

export class JobsModel implements IDisposable {
  constructor(
    live: Pick<Live, 'listen'>,
    private readonly _server: Server
  ) {
    this._listening = live.listen(news => this._hear(news));
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    this._listening.dispose();
    this._jobsReader.dispose();
    this._inboxReader.dispose();
    this._graces.forEach(grace => clearTimeout(grace));
    this._graces.clear();
    Signal.clearData(this);
  }

  /** Something below is not what it was. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** A job has ended and nobody was looking: once for each notice, and not for those that were there before us. */
  get arrived(): ISignal<this, Notice> {
    return this._arrived;
  }

  /** The newest first. */
  get jobs(): readonly Job[] {
    return this._jobs;
  }

  /** A job, if it is among them. */
  job(id: string): Job | undefined {
    return this._jobs.find(job => job.id === id);
  }

  /** The newest first; without those that a view may still say it has shown. */
  get notices(): readonly Notice[] {
    return this._inbox.notices.filter(notice => !this._graces.has(notice.id));
  }

  get unread(): number {
    return Math.max(0, this._inbox.unread - this._graces.size);
  }

  isUnread(notice: string): boolean {
    return this._inbox.notices.some(({ id, read_at }) => id === notice && read_at === null);
  }

  /** Why the lists may be old; null if they are not. */
  get trouble(): string | null {
    return this._online ? (this._jobsReader.failure ?? this._inboxReader.failure) : 'reconnecting…';
  }

  /** Keep the list fresh for somebody who looks at it. */
  look(): Disposable {
    const timer = setInterval(() => {
      if (this._jobs.some(({ status }) => !hasEnded(status))) {
        this._jobsReader.ask();
      }
    }, LOOKED_AT);
    return { dispose: () => clearInterval(timer) };
  }

  async cancel(job: string): Promise<void> {
    await this._server.cancel(job);
    this._jobsReader.ask();
  }

  async remove(job: string): Promise<void> {
    await this._server.remove(job);
    this._jobsReader.ask();
    this._inboxReader.ask();
  }

  async markRead(notice: string): Promise<void> {
    this._take(await this._server.markRead({ ids: [notice] }));
  }

  async markAllRead(): Promise<void> {
    this._take(await this._server.markRead({ all: true }));
  }

  async dismiss(notice: string): Promise<void> {
    await this._server.dismiss(notice);
    this._inboxReader.ask();
  }

  private _hear(news: News): void {
    this._online = news.type !== 'offline';
    if (news.type === 'hello' || news.type === 'job') {
      this._jobsReader.ask();
    }
    // A job that was deleted takes its notice along.
    if (news.type === 'hello' || news.type === 'notice' || (news.type === 'job' && news.status === 'deleted')) {
      this._inboxReader.ask();
    }
    if (news.type === 'hello' || news.type === 'offline') {
      this._changed.emit();
    }
  }

  private async _readJobs(): Promise<void> {
    this._jobs = (await this._server.jobs(LIMIT)).jobs;
  }

  private async _readInbox(): Promise<void> {
    this._take(await this._server.notices());
  }

  private _take(inbox: Inbox): void {
    this._inbox = inbox;
    const unread = inbox.notices.filter(({ read_at }) => read_at === null);
    for (const notice of unread) {
      if (!this._known.has(notice.id) && this._hasRead) {
        this._graces.set(
          notice.id,
          setTimeout(() => this._ripen(notice), GRACE)
        );
      }
      this._known.add(notice.id);
    }
    this._hasRead = true;
    const still = new Set(unread.map(({ id }) => id));
    for (const [id, grace] of this._graces) {
      if (!still.has(id)) {
        clearTimeout(grace); // a view has shown it, here or elsewhere
        this._graces.delete(id);
      }
    }
    this._changed.emit();
  }

  private _ripen(notice: Notice): void {
    this._graces.delete(notice.id);
    this._changed.emit();
    this._arrived.emit(notice);
  }

  private _settled(): void {
    if (!this._disposed) {
      this._changed.emit();
    }
  }

  private readonly _listening: Disposable;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _arrived = new Signal<this, Notice>(this);
  private readonly _jobsReader = new Reader(
    () => this._readJobs(),
    () => this._settled()
  );
  private readonly _inboxReader = new Reader(
    () => this._readInbox(),
    () => this._settled()
  );
  private _jobs: Job[] = [];
  private _inbox: Inbox = { notices: [], unread: 0 };
  private _online = false;
  /** The inbox was read once: what comes now is new. */
  private _hasRead = false;
  /** Every unread notice that we have met. */
  private readonly _known = new Set<string>();
  /** Those that a view may still say it has shown. */
  private readonly _graces = new Map<string, ReturnType<typeof setTimeout>>();
  private _disposed = false;
}

/** Reads a list: never twice at a time, at most every SPACING, and once more if it was asked for meanwhile. */
class Reader {
  constructor(
    private readonly _read: () => Promise<void>,
    private readonly _settled: () => void
  ) {}

  /** Why the last reading failed, or null. */
  failure: string | null = null;

  ask(): void {
    if (this._busy) {
      this._again = true;
    } else {
      this._busy = true;
      void this._run();
    }
  }

  dispose(): void {
    this._again = false;
    clearTimeout(this._pause);
  }

  private async _run(): Promise<void> {
    try {
      await this._read();
      this.failure = null;
    } catch (error) {
      this.failure = (error as Error).message;
    }
    this._settled();
    this._pause = setTimeout(() => {
      this._busy = false;
      if (this._again) {
        this._again = false;
        this.ask();
      }
    }, SPACING);
  }

  private _busy = false;
  private _again = false;
  private _pause: ReturnType<typeof setTimeout> | undefined;
}
