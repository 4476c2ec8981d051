/**
 * The one WebSocket of a page. All views of a job share one follow and one folded state.
 *
 * It reconnects by itself and then follows on from its cursors. The transport's trouble is never the job's: followers
 * are told `online: false` and keep what they have.
 */

import { type Answer, apply, firstOf, hasEnded, NO_TIMES, NOTHING, timed, type Times, tried, type Try } from './fold';
import { tellAll } from './emit';
import type { ClientFrame, Fault, Picture, ServerFrame, WireEvent } from './wire';
import { trans } from '../translation';

/** What a follower is told, at each change. */
export interface Followed {
  readonly answer: Answer;
  readonly times: Times;
  readonly tries: readonly Try[];
  /** The position after what the answer holds; null before the first frame. */
  readonly cursor: string | null;
  /** The job has ended and all of its log is here. */
  readonly closed: boolean;
  /** Whether the socket is open; if not, the job goes on and this page does not see it. */
  readonly online: boolean;
  /** Why the server does not send this job (`not_found`, …). */
  readonly trouble: Fault | null;
  /** Why the server does not let this page in; null if it does, and while that is not known. */
  readonly denial: Denial | null;
}

/** What the server makes of this page's login: `unknown` while it cannot be asked. */
export type Access = 'granted' | 'signed-out' | 'forbidden' | 'unknown';

/** The server does not let this page in. */
export interface Denial {
  code: 'signed_out' | 'forbidden';
  message: string;
  /** When the socket was lost, in Unix seconds: nothing later is known here. */
  since: number;
}

function denialOf(access: Access): Omit<Denial, 'since'> | null {
  switch (access) {
    case 'signed-out':
      return { code: 'signed_out', message: trans.__('Sign in again: reload this page') };
    case 'forbidden':
      return { code: 'forbidden', message: trans.__('You may not see background jobs on this server') };
    default:
      return null;
  }
}

/** The server has no such job, and this page has seen it: it was deleted. */
export function wasDeleted({ trouble, answer }: Followed): boolean {
  return trouble?.code === 'not_found' && answer.status !== 'new';
}

export type Follower = (job: Followed) => void;

export interface Disposable {
  dispose(): void;
}

/** Where a view gets its job from. */
export interface Source {
  /** Call back with the state now, before this returns, if there is one yet, and then with each new one. */
  follow(job: string, follower: Follower): Disposable;
  /** Ask the server to stop the job; idempotent. */
  cancel(job: string): Promise<void>;
  /** Say that a visible view has drawn this far. */
  seen(job: string, cursor: string): void;
  /** Read the file of a picture; rejects with the reason. A page's live side may be older than this. */
  picture?(job: string, picture: Picture): Promise<Blob>;
}

/** What a page is told beside the jobs it follows: news to re-read its lists at. */
export type News =
  Extract<ServerFrame, { type: 'hello' | 'job' | 'group' | 'notice' }> | { type: 'offline'; denial?: Denial | null };

export interface LiveOptions {
  /** The socket's address, asked for at each try. */
  url: () => string;
  WebSocket: new (url: string) => WebSocket;
  cancel: (job: string) => Promise<unknown>;
  picture: (job: string, picture: Picture) => Promise<Blob>;
  /** Find out why the socket does not open; left out where there is no server to ask. */
  access?: () => Promise<Access>;
  /** Between 0 and 1, for the jitter. */
  random?: () => number;
}

const FIRST_RETRY = 500; // ms
const LONGEST_RETRY = 30_000; // ms
const SILENCE = 50_000; // ms; the server beats every 20 s
const STRAYS = 8; // frames in a row that do not fit, before we give up

interface Entry {
  state: Followed;
  followers: Set<Follower>;
  /** Frames in a row that did not fit. */
  strays: number;
}

const FRESH = { answer: NOTHING, times: NO_TIMES, tries: [], cursor: null, closed: false, trouble: null, denial: null };

export class Live implements Source {
  constructor(options: LiveOptions) {
    this._options = options;
    this._random = options.random ?? Math.random;
    globalThis.addEventListener('online', this._hurry);
    globalThis.addEventListener('focus', this._hurry);
    globalThis.document.addEventListener('visibilitychange', this._hurry);
    this._connect();
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    globalThis.removeEventListener('online', this._hurry);
    globalThis.removeEventListener('focus', this._hurry);
    globalThis.document.removeEventListener('visibilitychange', this._hurry);
    clearTimeout(this._retry);
    this._drop();
    this._entries.clear();
    this._listeners.clear();
  }

  follow(job: string, follower: Follower): Disposable {
    let entry = this._entries.get(job);
    if (entry === undefined) {
      entry = { state: { ...FRESH, online: this._online, denial: this._denial }, followers: new Set(), strays: 0 };
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

  picture(job: string, picture: Picture): Promise<Blob> {
    return this._options.picture(job, picture);
  }

  seen(job: string, cursor: string): void {
    if (this._online) {
      this._send({ type: 'seen', job, cursor });
    } else {
      this._unsent.set(job, cursor);
    }
  }

  /** Ask whether this page is the one to write the end of a job, or of a batch, into a document that others share. */
  mayWrite(document: string, job: string): Promise<boolean> {
    if (!this._online) {
      return Promise.resolve(false);
    }
    const answer = new Promise<boolean>(resolve => this._elections.push({ document, job, resolve }));
    this._send({ type: 'write', document, job });
    return answer;
  }

  /** Call back with the page's news; the state of the followed jobs is not among it. */
  listen(listener: (news: News) => void): Disposable {
    this._listeners.add(listener);
    return { dispose: () => void this._listeners.delete(listener) };
  }

  private _unfollow(job: string, follower: Follower): void {
    const entry = this._entries.get(job);
    if (entry?.followers.delete(follower) && entry.followers.size === 0) {
      this._entries.delete(job);
      this._send({ type: 'unfollow', job });
    }
  }

  private _connect(): void {
    if (this._disposed) {
      return;
    }
    clearTimeout(this._retry);
    const socket = new this._options.WebSocket(this._options.url());
    this._socket = socket;
    socket.onmessage = message => {
      this._watch();
      this._hear(JSON.parse(String(message.data)) as ServerFrame);
    };
    socket.onclose = () => this._lost();
    this._watch();
  }

  /** Forget the socket without waiting for its close: one that hangs would keep us waiting. */
  private _drop(): void {
    clearTimeout(this._watchdog);
    const socket = this._socket;
    this._socket = null;
    this._online = false;
    this._loseElections(); // a lease is lost with its socket
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  private _watch(): void {
    clearTimeout(this._watchdog);
    this._watchdog = setTimeout(() => this._lost(), SILENCE);
  }

  private _lost(): void {
    const opened = this._online;
    if (opened) {
      this._offlineSince = Date.now() / 1000;
    }
    this._drop();
    const wait = Math.min(FIRST_RETRY * 2 ** this._failures++, LONGEST_RETRY);
    // Jitter, or all pages of a restarted server come back at the same moment.
    this._retry = setTimeout(() => this._connect(), wait * (0.5 + this._random() / 2));
    for (const entry of this._entries.values()) {
      this._tell(entry, { online: false });
    }
    this._report({ type: 'offline', denial: this._denial });
    if (!opened) {
      void this._askAccess();
    }
  }

  /** Find out why the socket did not open: only the server's answer to REST says whether to sign in again. */
  private async _askAccess(): Promise<void> {
    if (this._asksAccess || this._options.access === undefined) {
      return;
    }
    this._asksAccess = true;
    const access = await this._options.access();
    this._asksAccess = false;
    const denial = denialOf(access);
    if (this._disposed || this._online || denial?.code === this._denial?.code) {
      return;
    }
    this._denial = denial === null ? null : { ...denial, since: this._offlineSince };
    for (const entry of this._entries.values()) {
      this._tell(entry, { denial: this._denial });
    }
    this._report({ type: 'offline', denial: this._denial });
  }

  /** Try again at once when there is reason to think that it works now. */
  private readonly _hurry = (): void => {
    if (this._socket === null && globalThis.document.visibilityState === 'visible') {
      this._failures = 0;
      this._connect();
    }
  };

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
      case 'group':
      case 'notice':
        this._report(frame);
        break;
      case 'write':
        this._granted(frame);
        break;
      case 'reset':
        this._restart(frame.job);
        break;
      case 'error':
        this._refused(frame);
        break;
      case 'beat':
        break;
    }
  }

  private _greet(): void {
    this._failures = 0;
    this._online = true;
    this._denial = null;
    for (const [job, entry] of this._entries) {
      this._ask(job, entry);
      this._tell(entry, { online: true, trouble: null, denial: null });
    }
    for (const [job, cursor] of this._unsent) {
      this._send({ type: 'seen', job, cursor });
    }
    this._unsent.clear();
  }

  private _read(job: string, events: WireEvent[], cursor: string, closed: boolean): void {
    const entry = this._entries.get(job);
    if (entry === undefined) {
      return; // was under way when we left
    }
    let { answer, times, tries } = entry.state;
    try {
      for (const event of events) {
        // A frame of an earlier follow may still come after a new one: what we have already is no error.
        if (event.seq > answer.seq) {
          const before = answer;
          answer = apply(before, event);
          tries = tried(tries, before, event);
          times = timed(times, event);
        }
      }
    } catch (error) {
      this._stray(job, entry, events, error);
      return;
    }
    entry.strays = 0;
    this._tell(entry, { answer, times, tries, cursor, closed, online: true, trouble: null });
  }

  /** A frame does not fit: ask again from where we are, and do not ask for ever. */
  private _stray(job: string, entry: Entry, events: WireEvent[], error: unknown): void {
    if (++entry.strays < STRAYS) {
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
    } else if (entry.state.trouble !== null && entry.strays < STRAYS) {
      this._ask(job, entry); // it was not there and now it is
    }
  }

  private _granted({ document, job, granted }: Extract<ServerFrame, { type: 'write' }>): void {
    const mine = this._elections.filter(each => each.document === document && each.job === job);
    this._elections = this._elections.filter(each => !mine.includes(each));
    mine.forEach(({ resolve }) => resolve(granted));
  }

  private _loseElections(): void {
    this._elections.splice(0).forEach(({ resolve }) => resolve(false));
  }

  private _restart(job: string): void {
    const entry = this._entries.get(job);
    if (entry !== undefined) {
      this._tell(entry, FRESH);
      this._ask(job, entry);
    }
  }

  private _refused({ job, code, message }: Extract<ServerFrame, { type: 'error' }>): void {
    const entry = job === null ? undefined : this._entries.get(job);
    if (entry === undefined) {
      console.warn(`jupyter_bgstream: ${message} (${code})`);
      this._loseElections(); // it may be one of them that the server did not take
    } else {
      this._tell(entry, { trouble: { code, message } });
    }
  }

  private _ask(job: string, entry: Entry): void {
    // What has ended and is all here needs no follow, not even after a reconnect.
    if (!(entry.state.closed && hasEnded(entry.state.answer.status))) {
      this._send({ type: 'follow', job, after: entry.state.cursor });
    }
  }

  private _send(frame: ClientFrame): void {
    if (this._online) {
      this._socket?.send(JSON.stringify(frame));
    }
  }

  private _tell(entry: Entry, change: { [name in keyof Followed]?: Followed[name] }): void {
    entry.state = { ...entry.state, ...change };
    tellAll(entry.followers, entry.state);
  }

  private _report(news: News): void {
    tellAll(this._listeners, news);
  }

  private readonly _options: LiveOptions;
  private readonly _random: () => number;
  private readonly _entries = new Map<string, Entry>();
  private readonly _listeners = new Set<(news: News) => void>();
  /** What was seen while there was no socket: the newest cursor by job. */
  private readonly _unsent = new Map<string, string>();
  /** Who waits to hear whether this page may write. */
  private _elections: { document: string; job: string; resolve: (granted: boolean) => void }[] = [];
  private _socket: WebSocket | null = null;
  private _online = false;
  private _denial: Denial | null = null;
  private _asksAccess = false;
  /** When the last open socket was lost, or when this page began; Unix seconds. */
  private _offlineSince = Date.now() / 1000;
  private _failures = 0;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _watchdog: ReturnType<typeof setTimeout> | undefined;
  private _disposed = false;
}
