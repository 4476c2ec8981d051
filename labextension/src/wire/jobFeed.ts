/** How views follow jobs, over the page's socket or a kernel's relay: interfaces, and calls of listeners. */

import type { Answer, Attempt, Times } from './fold';
import type { ErrorInfo, ImageInfo, ServerFrame } from './types';

/** A followed job, as its followers get it at each change. */
export interface Followed {
  readonly answer: Answer;
  readonly times: Times;
  readonly attempts: readonly Attempt[];
  /** The position after the events in the answer; null before the first frame. */
  readonly cursor: string | null;
  /** Whether the job has ended and all of its log is here. */
  readonly closed: boolean;
  /** Whether the socket is open; if not, the job continues and this page does not see it. */
  readonly online: boolean;
  /** Why the server does not send this job (`not_found`, …). */
  readonly trouble: ErrorInfo | null;
  /** Why the server denies this page; null if it does not or if this is unknown. */
  readonly denial: Denial | null;
}

/** The server's answer about this page's login: `unknown` while it cannot be asked. */
export type Access = 'granted' | 'signed-out' | 'forbidden' | 'unknown';

/** The server denies this page, or has another protocol. */
export interface Denial {
  code: 'signed_out' | 'forbidden' | 'other_protocol';
  message: string;
  /** Time of the loss of the socket, in Unix seconds: later changes are unknown here. */
  since: number;
}

/** Return whether a job was deleted: the server does not have it, but this page has seen it. */
export function wasDeleted({ trouble, answer }: Followed): boolean {
  return trouble?.code === 'not_found' && answer.status !== 'new';
}

export type Follower = (job: Followed) => void;

export interface Disposable {
  dispose(): void;
}

/** Source of the jobs of views. */
export interface JobFeed {
  /** Call back with the present state, before this returns, if there is one, and then with each new one. */
  follow(job: string, follower: Follower): Disposable;
  /** Ask the server to stop the job; idempotent. */
  cancel(job: string): Promise<void>;
  /** Report that a visible view has drawn the job up to this cursor. */
  seen(job: string, cursor: string): void;
  /** Read the file of an image; rejects with the reason. A page's live connection may be older than this method. */
  image?(job: string, image: ImageInfo): Promise<Blob>;
}

/** Hints of the server that lists changed, and losses of the socket. */
export type News =
  Extract<ServerFrame, { type: 'hello' | 'job' | 'batch' | 'notice' }> | { type: 'offline'; denial?: Denial | null };

/** Call all listeners, even if one of them throws. */
export function emitAll<T extends unknown[]>(listeners: Iterable<(...news: T) => void>, ...news: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(...news);
    } catch (error) {
      console.error('jupyter_bgstream: a listener failed', error);
    }
  }
}
