/** Model of the jobs and the inbox: read again whenever the server hints that they changed. */

import { Signal } from '@lumino/signaling';

import { trans } from '../translation';
import type { Disposable, News } from '../wire/jobFeed';
import { hasEnded } from '../wire/fold';
import type { Live } from '../wire/liveJobs';
import type { RequestError, Requests } from '../wire/restClient';
import { LiveModel } from '../wire/serverModel';
import type { Cost, Inbox, JobInfo, Mute, NoticeInfo } from '../wire/types';

/** Time in which a view can report that the end was seen, before badge and toast show it. */
export const GRACE = 2000; // ms
/** Delay between reads of the list while it is visible and a job runs: previews grow without a hint. */
const LOOKED_AT = 5000; // ms
const LIMIT = 100;
/** Age of the oldest cost read: the server's day may have begun earlier, and its clock may differ. */
const SINCE = 2 * 86_400; // s

type Server = Pick<
  Requests,
  'jobs' | 'notices' | 'cancel' | 'remove' | 'markRead' | 'dismiss' | 'mutes' | 'mute' | 'status' | 'costs'
>;

/** Limits the list to the jobs of one batch. */
export interface BatchFilter {
  batch: string;
  title: string;
}

/** The jobs, notices, mutes, warnings and costs. */
export class JobsModel extends LiveModel {
  /** Emitted once for each new notice of a job that ended unseen; not for notices from before this page. */
  readonly arrived = new Signal<this, NoticeInfo>(this);
  /** The newest first. */
  jobs: readonly JobInfo[] = [];
  /** Submitter of the viewer's own jobs; null on servers without named users. */
  viewer: string | null = null;
  mutes: readonly Mute[] = [];
  /** The cost of the jobs submitted today, as far as it is known; read while the panel is visible. */
  today: Cost | null = null;

  constructor(
    live: Pick<Live, 'listen'>,
    private readonly _server: Server
  ) {
    super(live);
  }

  override dispose(): void {
    this._graces.forEach(grace => clearTimeout(grace));
    this._graces.clear();
    super.dispose();
  }

  /** Return a listed job. */
  job(id: string): JobInfo | undefined {
    return this.jobs.find(job => job.id === id);
  }

  /** The notices, the newest first; without those that a view may still report as seen. */
  get notices(): readonly NoticeInfo[] {
    return this._inbox.notices.filter(notice => !this._graces.has(notice.id));
  }

  get unread(): number {
    return Math.max(0, this._inbox.unread - this._graces.size);
  }

  /** Return whether to show this notice: it is neither read nor muted. */
  calls(notice: string): boolean {
    return this._inbox.notices.some(each => each.id === notice && isCalling(each));
  }

  isMuted({ kind, name }: Mute): boolean {
    return this.mutes.some(mute => mute.kind === kind && mute.name === name);
  }

  /** The server's warnings, without those dismissed in this page. */
  get warnings(): readonly string[] {
    return this._warnings.filter(warning => !this._dismissed.has(warning));
  }

  dismissWarnings(): void {
    this._warnings.forEach(warning => this._dismissed.add(warning));
    this.changed.emit();
  }

  /** The batch whose jobs are listed; null: all jobs. */
  get filter(): BatchFilter | null {
    return this._filter;
  }

  set filter(filter: BatchFilter | null) {
    this._filter = filter;
    this.jobs = filter === null ? [] : this.jobs.filter(({ batch }) => batch === filter.batch);
    this.changed.emit();
    this._jobsFetch.ask();
  }

  /** Why the lists may be outdated; null if they are not. */
  get trouble(): string | null {
    if (this.online) {
      return this._jobsFetch.failure ?? this._inboxFetch.failure;
    }
    return this.denial?.message ?? this._refusal ?? trans.__('Reconnecting…');
  }

  /** Time of the lists' state, in Unix seconds; it stands still while the server denies this page. */
  get now(): number {
    return this.denial?.since ?? Date.now() / 1000;
  }

  override look(): Disposable {
    const looking = super.look();
    if (this.online) {
      this._statusFetch.ask();
      this._costsFetch.ask();
    }
    const timer = setInterval(() => {
      if (this.denial === null && this.jobs.some(({ status }) => !hasEnded(status))) {
        this._jobsFetch.ask();
      }
    }, LOOKED_AT);
    return {
      dispose: () => {
        clearInterval(timer);
        looking.dispose();
      }
    };
  }

  async cancel(job: string): Promise<void> {
    await this._server.cancel(job);
    this._jobsFetch.ask();
  }

  async remove(job: string): Promise<void> {
    await this._server.remove(job);
    this._jobsFetch.ask();
    this._inboxFetch.ask();
  }

  async markRead(notice: string): Promise<void> {
    this._take(await this._server.markRead({ ids: [notice] }));
  }

  async markAllRead(): Promise<void> {
    this._take(await this._server.markRead({ all: true }));
  }

  async dismiss(notice: string): Promise<void> {
    await this._server.dismiss(notice);
    this._inboxFetch.ask();
  }

  async mute(mute: Mute, on: boolean): Promise<void> {
    this.mutes = await this._server.mute(mute, on);
    this.changed.emit();
    this._inboxFetch.ask();
  }

  protected hear(news: News): void {
    if (this.online) {
      this._refusal = null;
    } else {
      void this._askRefusal();
    }
    if (news.type === 'hello' || news.type === 'job') {
      this._jobsFetch.ask();
      if (this.lookers > 0) {
        this._costsFetch.ask();
      }
    }
    // The notice of a job is deleted with it.
    if (news.type === 'hello' || news.type === 'notice' || (news.type === 'job' && news.status === 'deleted')) {
      this._inboxFetch.ask();
    }
    if (news.type === 'hello') {
      this._statusFetch.ask();
    }
    if (news.type === 'hello' || news.type === 'offline') {
      this.changed.emit();
    }
  }

  /** Find out whether the server gives a reason, such as a failed start. A WebSocket does not show it. */
  private async _askRefusal(): Promise<void> {
    let refusal: string | null = null;
    try {
      await this._server.status();
    } catch (error) {
      const { status, code, message } = error as RequestError;
      refusal = status === 503 && code === 'unavailable' ? message : null;
    }
    if (!this.online && !this.isDisposed && refusal !== this._refusal) {
      this._refusal = refusal;
      this.changed.emit();
    }
  }

  private async _readJobs(): Promise<void> {
    const filter = this._filter;
    const { jobs, viewer } = await this._server.jobs(LIMIT, filter === null ? {} : { batch: filter.batch });
    if (filter === this._filter) {
      this.jobs = jobs;
      this.viewer = viewer;
    }
  }

  private async _readInbox(): Promise<void> {
    const [inbox, mutes] = await Promise.all([this._server.notices(), this._server.mutes()]);
    this.mutes = mutes;
    this._take(inbox);
  }

  private async _readStatus(): Promise<void> {
    this._warnings = (await this._server.status()).warnings;
  }

  private async _readCosts(): Promise<void> {
    const { costs, today } = await this._server.costs(Date.now() / 1000 - SINCE);
    const { usd, estimated } = costs.find(({ key }) => key === today) ?? { usd: null, estimated: false };
    this.today = usd === null || usd === 0 ? null : { usd, estimated };
  }

  private _take(inbox: Inbox): void {
    this._inbox = inbox;
    const calling = inbox.notices.filter(isCalling);
    for (const notice of calling) {
      if (!this._known.has(notice.id) && this._hasRead) {
        this._graces.set(
          notice.id,
          setTimeout(() => this._ripen(notice), GRACE)
        );
      }
    }
    // A muted notice is not shown as new after the mute is removed.
    inbox.notices.forEach(({ id }) => this._known.add(id));
    this._hasRead = true;
    const still = new Set(calling.map(({ id }) => id));
    for (const [id, grace] of this._graces) {
      if (!still.has(id)) {
        clearTimeout(grace); // seen in a view, in this page or another, or muted
        this._graces.delete(id);
      }
    }
    this.changed.emit();
  }

  private _ripen(notice: NoticeInfo): void {
    this._graces.delete(notice.id);
    this.changed.emit();
    this.arrived.emit(notice);
  }

  private readonly _jobsFetch = this.fetch(() => this._readJobs());
  private readonly _inboxFetch = this.fetch(() => this._readInbox());
  private readonly _statusFetch = this.fetch(() => this._readStatus());
  private readonly _costsFetch = this.fetch(() => this._readCosts());
  private _filter: BatchFilter | null = null;
  private _warnings: readonly string[] = [];
  private readonly _dismissed = new Set<string>();
  private _inbox: Inbox = { notices: [], unread: 0 };
  /** Why the server refuses this page's requests while there is no socket, as a sentence; null: not known. */
  private _refusal: string | null = null;
  /** Whether the inbox was read before: only later notices are new. */
  private _hasRead = false;
  /** Ids of all notices so far. */
  private readonly _known = new Set<string>();
  /** The timers of notices that a view may still report as seen. */
  private readonly _graces = new Map<string, ReturnType<typeof setTimeout>>();
}

function isCalling({ read_at, muted }: NoticeInfo): boolean {
  return read_at === null && !muted;
}
