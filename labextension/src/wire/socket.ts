/** The page's WebSocket: it reconnects by itself, and finds out why it does not open. */

import { trans } from '../translation';
import type { Access, Denial } from './jobFeed';
import { type ClientFrame, PROTOCOL, type ServerFrame } from './types';

export interface ConnectionOptions {
  /** Return the socket's address; called at each attempt. */
  url: () => string;
  WebSocket: new (url: string) => WebSocket;
  /** Find out why the socket does not open; absent where there is no server to ask. */
  access?: () => Promise<Access>;
  /** Return a number between 0 and 1, for the jitter. */
  random?: () => number;
}

export interface ConnectionHandlers {
  hear: (frame: ServerFrame) => void;
  /** Called when the socket is lost or the reason why it does not open has changed. */
  offline: () => void;
}

const FIRST_RETRY = 500; // ms
const LONGEST_RETRY = 30_000; // ms
const SILENCE = 50_000; // ms; the server sends a beat every 20 s

export class Connection {
  /** Why the server denies this page; null if it does not or if this is unknown. */
  denial: Denial | null = null;
  /** Whether the socket is open and the server has sent its greeting. */
  isOnline = false;

  constructor(
    private readonly _options: ConnectionOptions,
    private readonly _handlers: ConnectionHandlers
  ) {
    globalThis.addEventListener('online', this._hurry);
    globalThis.addEventListener('focus', this._hurry);
    globalThis.document.addEventListener('visibilitychange', this._hurry);
    this._connect();
  }

  dispose(): void {
    this._disposed = true;
    globalThis.removeEventListener('online', this._hurry);
    globalThis.removeEventListener('focus', this._hurry);
    globalThis.document.removeEventListener('visibilitychange', this._hurry);
    clearTimeout(this._retry);
    this._drop();
  }

  /** Send a frame, unless the socket is lost. */
  send(frame: ClientFrame): void {
    if (this.isOnline) {
      this._socket?.send(JSON.stringify(frame));
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

  private _hear(frame: ServerFrame): void {
    if (frame.type === 'hello') {
      if (frame.protocol !== PROTOCOL) {
        this.denial = {
          code: 'other_protocol',
          message: trans.__('Reload this page: the server has another version'),
          since: this._offlineSince
        };
        this._lost();
        return;
      }
      this._failures = 0;
      this.isOnline = true;
      this.denial = null;
    }
    this._handlers.hear(frame);
  }

  /** Forget the socket without waiting for its close event: a socket that hangs would delay it. */
  private _drop(): void {
    clearTimeout(this._watchdog);
    const socket = this._socket;
    this._socket = null;
    this.isOnline = false;
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
    const opened = this.isOnline;
    if (opened) {
      this._offlineSince = Date.now() / 1000;
    }
    this._drop();
    const wait = Math.min(FIRST_RETRY * 2 ** this._failures++, LONGEST_RETRY);
    // With jitter: else all pages of a restarted server would connect at the same moment.
    const random = this._options.random ?? Math.random;
    this._retry = setTimeout(() => this._connect(), wait * (0.5 + random() / 2));
    this._handlers.offline();
    if (!opened && this.denial?.code !== 'other_protocol') {
      void this._askAccess();
    }
  }

  /** Find out why the socket did not open: only the server's answer to REST shows whether to sign in again. */
  private async _askAccess(): Promise<void> {
    if (this._asksAccess || this._options.access === undefined) {
      return;
    }
    this._asksAccess = true;
    const access = await this._options.access();
    this._asksAccess = false;
    const denial = denialOf(access);
    if (this._disposed || this.isOnline || denial?.code === this.denial?.code) {
      return;
    }
    this.denial = denial === null ? null : { ...denial, since: this._offlineSince };
    this._handlers.offline();
  }

  /** Connect at once when a connection is likely to succeed. */
  private readonly _hurry = (): void => {
    if (this._socket === null && globalThis.document.visibilityState === 'visible') {
      this._failures = 0;
      this._connect();
    }
  };

  private _socket: WebSocket | null = null;
  private _asksAccess = false;
  /** When the last open socket was lost, or when this page began; Unix seconds. */
  private _offlineSince = Date.now() / 1000;
  private _failures = 0;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _disposed = false;
  private _watchdog: ReturnType<typeof setTimeout> | undefined;
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
