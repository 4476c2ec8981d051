/** What this page shares with the widgets on it: one socket, one scheduler of drawing, one renderer. Nothing of Lab. */

import type { AnswerOptions, Drawing } from './answerView';
import type { BatchOptions } from './batchView';
import type { GroupSource } from '../wire/batches';
import type { Disposable } from '../wire/feed';

/** Where a widget on the same page finds it. */
export const SHARED = Symbol.for('jupyter_bgstream/1');

/** A view on the screen. */
export interface Drawn extends Disposable {
  readonly node: HTMLElement;
}

/** What the labextension publishes. A kernel's widget may be older or newer: whatever it needs may be missing. */
export interface Shared {
  live?: Drawing['source'];
  retries?: Drawing['retries'];
  markdown?: Drawing['markdown'];
  groups?: GroupSource;
  /** Draw a job, with the page's own code. */
  answer?: (options: Pick<AnswerOptions, 'job' | 'model' | 'saved'>) => Drawn;
  /** Draw a batch, likewise. */
  batch?: (options: Pick<BatchOptions, 'batch' | 'saved'>) => Drawn;
}

/** What the page shares, if it does. */
export function shared(): Shared | undefined {
  return (globalThis as { [SHARED]?: Shared })[SHARED];
}
