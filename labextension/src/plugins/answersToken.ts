/** The token that this extension's plugins share and other extensions may use. */

import { Token } from '@lumino/coreutils';

import type { Markdown } from '../render/textPane';
import type { Batches } from '../wire/liveBatches';
import type { Live } from '../wire/liveJobs';
import type { Requests } from '../wire/restClient';
import type { RetryChains } from '../wire/retryChains';

/** The user's settings; the defaults until they are loaded. */
export interface Preferences {
  remoteImages: boolean;
  toasts: boolean;
}

/** The page's way to the server, and how answers are drawn. */
export interface IAnswers {
  readonly live: Live;
  readonly requests: Requests;
  readonly retries: RetryChains;
  readonly markdown: Markdown;
  readonly batches: Batches;
  readonly preferences: Preferences;
}

export const IAnswers = new Token<IAnswers>(
  'jupyter-bgstream:IAnswers',
  'The background answers of this page: the live socket, the requests and the Markdown renderer.'
);
