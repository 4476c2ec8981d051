/** What this page shares with the widgets on it: one socket, one scheduler of drawing, one renderer. Nothing of Lab. */

import type { AnswerOptions, ViewContext } from './answerView';
import type { BatchOptions } from './batchView';
import type { BatchFeed } from '../wire/batches';
import type { Disposable } from '../wire/feed';

/** Where a widget on the same page finds it. */
export const PAGE_GLOBALS = Symbol.for('jupyter_bgstream/1');

/** A view on the screen. */
export interface View extends Disposable {
  readonly node: HTMLElement;
}

/** What the labextension publishes. A kernel's widget may be older or newer: whatever it needs may be missing. */
export interface PageGlobals {
  live?: ViewContext['source'];
  retries?: ViewContext['retries'];
  markdown?: ViewContext['markdown'];
  groups?: BatchFeed;
  /** Draw a job, with the page's own code. */
  answer?: (options: Pick<AnswerOptions, 'job' | 'model' | 'saved'>) => View;
  /** Draw a batch, likewise. */
  batch?: (options: Pick<BatchOptions, 'batch' | 'saved'>) => View;
}

/** What the page shares, if it does. */
export function pageGlobals(): PageGlobals | undefined {
  return (globalThis as { [PAGE_GLOBALS]?: PageGlobals })[PAGE_GLOBALS];
}
