/** Objects that a page with the labextension shares with its widgets: socket, renderer, views. No Lab imports. */

import type { BatchFeed } from '../wire/liveBatches';
import type { Disposable } from '../wire/jobFeed';
import type { AnswerOptions, ViewContext } from './answerView';
import type { BatchOptions } from './batchView';

/** The key of the globals. */
export const PAGE_GLOBALS = Symbol.for('jupyter_bgstream/2');

/** A view on the screen. */
export interface View extends Disposable {
  readonly node: HTMLElement;
}

/** Objects that the labextension publishes. A kernel's widget may be older or newer: any member may be missing. */
export interface PageGlobals {
  live?: ViewContext['source'];
  retries?: ViewContext['retries'];
  markdown?: ViewContext['markdown'];
  batches?: BatchFeed;
  /** Draw a job, with the page's own code. */
  answer?: (options: Pick<AnswerOptions, 'job' | 'model' | 'saved'>) => View;
  /** Draw a batch, likewise. */
  batch?: (options: Pick<BatchOptions, 'batch' | 'saved'>) => View;
}

/** Return the shared objects; undefined in a page without the labextension. */
export function pageGlobals(): PageGlobals | undefined {
  return (globalThis as { [PAGE_GLOBALS]?: PageGlobals })[PAGE_GLOBALS];
}
