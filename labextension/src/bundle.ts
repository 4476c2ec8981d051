/**
 * What a job looks like in a notebook file. See PROTOCOL.md, "In the notebook file".
 *
 * The same form as `jupyter_bgstream/client/bundle.py`, so that a save changes nothing that is already right.
 */

import { sourcesMarkdown, sourcesPlain } from './cited';
import { escapeHtml } from './escape';
import type { Answer } from './fold';
import { endingWords } from './words';
import { BUNDLE_MIME, type Bundle } from './wire';

/** An output's data by MIME type. */
export type Data = Readonly<Record<string, unknown>>;

/** The job's bundle in an output's data, if there is one. */
export function bundleOf(data: Data): Bundle | null {
  const bundle = data[BUNDLE_MIME] as Bundle | null | undefined;
  return typeof bundle?.id === 'string' ? bundle : null;
}

/** A text in an output's data. On disk it may be a list of lines, and an empty one is an empty list. */
export function textOf(data: Data, mime: string): string {
  const text = data[mime];
  return Array.isArray(text) ? text.join('') : typeof text === 'string' ? text : '';
}

/** Return an output's data with this job as it is now, or null if it says so already. */
export function refreshed(data: Data, job: string, cursor: string, answer: Answer): Data | null {
  const bundle = bundleOf(data);
  if (bundle === null || answer.status === 'new') {
    return null;
  }
  const note = noteOf(answer);
  const below = [sourcesMarkdown(answer.sources), note && `*${escapeHtml(note)}*`].filter(Boolean);
  const text = escapeHtml(answer.text) + (below.length > 0 ? closing(answer.text) : '');
  const markdown = [text, ...below];
  const plain = [answer.text, sourcesPlain(answer.sources), note && `${note} (job ${job})`];
  const fresh = {
    [BUNDLE_MIME]: { id: job, cursor, status: answer.status, model: bundle.model },
    'text/markdown': markdown.filter(Boolean).join('\n\n'),
    'text/plain': plain.filter(Boolean).join('\n\n')
  };
  const same =
    bundle.id === job &&
    bundle.status === answer.status &&
    textOf(data, 'text/markdown') === fresh['text/markdown'] &&
    bundle.cursor === cursor;
  return same ? null : { ...data, ...fresh };
}

/** What closes the code that a text ends in, so that what comes below it is none. */
function closing(text: string): string {
  let fence = '';
  for (const line of text.split('\n')) {
    if (fence === '') {
      const opening = /^ {0,3}(?:(`{3,})[^`]*$|(~{3,}))/.exec(line);
      fence = opening?.[1] ?? opening?.[2] ?? '';
    } else {
      const bare = line.replace(/^[ \t\r]+/, '');
      if (bare.startsWith(fence) && /^(?:`+|~+)[ \t\r]*$/.test(bare)) {
        fence = '';
      }
    }
  }
  return fence && (text.endsWith('\n') ? '' : '\n') + fence;
}

/** Say what the text alone does not: that it is not whole, or why it ended. */
function noteOf({ status, error, finish_reason }: Answer): string {
  const word = status.charAt(0).toUpperCase() + status.slice(1);
  switch (status) {
    case 'completed':
      return endingWords(finish_reason);
    case 'failed':
    case 'interrupted':
      return error === null ? word : `${word}: ${error.message}`;
    case 'cancelled':
      return word;
    default:
      return `${word}…`;
  }
}
