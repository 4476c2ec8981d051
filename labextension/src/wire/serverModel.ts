/** Models of lists of the server: read again whenever it hints that they changed. */

import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import type { Denial, Disposable, News } from './jobFeed';
import type { Live } from './liveJobs';
import { ThrottledFetch } from './throttledFetch';

/** A model that reads parts of the server's state. */
export class ServerModel implements IDisposable {
  /** Emitted when something that it shows may have changed. */
  readonly changed = new Signal<this, void>(this);
  isDisposed = false;

  dispose(): void {
    this.isDisposed = true;
    this._fetches.forEach(fetch => fetch.dispose());
    Signal.clearData(this);
  }

  /** Make a fetch that this model disposes of. */
  protected fetch(read: () => Promise<void>): ThrottledFetch {
    const fetch = new ThrottledFetch(read, () => this.settled());
    this._fetches.push(fetch);
    return fetch;
  }

  /** Called after each read. */
  protected settled(): void {
    if (!this.isDisposed) {
      this.changed.emit();
    }
  }

  private readonly _fetches: ThrottledFetch[] = [];
}

/** A model that gets the hints of the socket. */
export abstract class LiveModel extends ServerModel {
  /** Why the server denies this page; null if it does not or if this is unknown. */
  denial: Denial | null = null;

  constructor(live: Pick<Live, 'listen'>) {
    super();
    this._listening = live.listen(news => {
      this.online = news.type !== 'offline';
      this.denial = news.type === 'offline' ? (news.denial ?? null) : null;
      this.hear(news);
    });
  }

  override dispose(): void {
    this._listening.dispose();
    super.dispose();
  }

  /** Keep the lists up to date until the result is disposed of. */
  look(): Disposable {
    this.lookers++;
    return { dispose: () => (this.lookers -= 1) };
  }

  protected abstract hear(news: News): void;

  protected online = false;
  /** Number of users of the lists. */
  protected lookers = 0;
  private readonly _listening: Disposable;
}
