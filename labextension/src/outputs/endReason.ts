/**
 * Why a completed answer ended, as a sentence: in English in a notebook file, in the page's language in a view.
 *
 * The English sentences are those of `jupyter_bgstream/outputs/mimebundle.py`.
 */

import { english, type Trans } from '../translation';
import type { Answer } from '../wire/fold';

/** The part of an answer that says why it ended. */
type Ended = Pick<Answer, 'finish_reason' | 'text' | 'reasoning' | 'tool_calls'>;

const REASONS: Record<string, ((trans: Trans) => string) | undefined> = {
  stop: () => '',
  length: trans => trans.__('The answer was cut off at the limit of tokens.'),
  content_filter: trans => trans.__('The answer was cut off by the content filter of the provider.'),
  refusal: trans => trans.__('The model declined to answer.'),
  tool_calls: trans => trans.__('The model asks for tools. None was called.'),
  other: trans => trans.__('The answer ended for a reason that the provider does not explain.')
};

/** Return why a completed answer ended, or why it has no text; empty for an answer that ended as usual. */
export function endReason(answer: Ended, trans: Trans = english): string {
  return finishReason(answer.finish_reason ?? 'stop', trans) || missingText(answer, trans);
}

function finishReason(reason: string, trans: Trans): string {
  const known = Object.hasOwn(REASONS, reason) ? REASONS[reason] : undefined;
  return known === undefined ? trans.__('The answer ended for another reason: %1.', reason) : known(trans);
}

function missingText({ text, reasoning, tool_calls }: Ended, trans: Trans): string {
  if (hasText(text)) {
    return '';
  }
  if (tool_calls.length > 0) {
    return trans.__('The answer has no text, only tool calls.');
  }
  return hasText(reasoning)
    ? trans.__('The answer has no text: the model only reasoned. Retry, or raise max_tokens.')
    : trans.__('The answer has no text: the provider ended it before the first word.');
}

/** Return whether a text has more than white space. */
export function hasText(text: string): boolean {
  return /[^ \t\r\n]/.test(text);
}
