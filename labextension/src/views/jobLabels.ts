/** Labels and sentences about jobs, in the page's language. */

import { hasText } from '../outputs/endReason';
import { trans } from '../translation';
import type { Answer, Attempt, Times } from '../wire/fold';
import type { Cost, EndCounts, End, ErrorInfo, Status, UsageInfo } from '../wire/types';
import { formatDuration, formatNumber } from './format';

/** The states that views have labels for. */
type Label = Exclude<Status, 'completed'> | 'done' | 'paused' | 'length' | 'filtered' | 'tools' | 'missing';

/** The display labels of states, the same in cells, panel, toasts, `%bg` and docs. */
const LABELS: Record<Label, () => string> = {
  done: () => trans.__('Done'),
  length: () => trans.__('Cut off'),
  filtered: () => trans.__('Filtered'),
  tools: () => trans.__('Asks for tools'),
  failed: () => trans.__('Failed'),
  interrupted: () => trans.__('Interrupted'),
  cancelled: () => trans.__('Stopped'),
  queued: () => trans.__('Queued'),
  running: () => trans.__('Running'),
  waiting: () => trans.__('Waiting'),
  paused: () => trans.__('Paused'),
  missing: () => trans.__('Not found')
};

/** Finish reasons with a label of their own. */
const FINISH_LABELS: Record<string, Label | undefined> = {
  length: 'length',
  content_filter: 'filtered',
  refusal: 'filtered',
  tool_calls: 'tools'
};

/** Return the display label of a state. */
export function label(state: Label): string {
  return LABELS[state]();
}

/** The states of a job's view: those of the job, before its log has come, and two of a running job. */
export type DisplayState = 'connecting' | 'missing' | 'thinking' | 'streaming' | Exclude<Status, 'running'>;

/** Return the state of a view of a job with this status and text. */
export function displayState(status: Status, text: string): DisplayState {
  return status === 'running' ? (text === '' ? 'thinking' : 'streaming') : status;
}

/** Return the label of a view's state. */
export function stateLabel(state: DisplayState | 'running', finishReason: string | null): string {
  switch (state) {
    case 'connecting':
      return trans.__('Connecting…');
    case 'thinking':
    case 'streaming':
      return label('running');
    case 'completed': {
      const reason = finishReason ?? '';
      return label((Object.hasOwn(FINISH_LABELS, reason) ? FINISH_LABELS[reason] : undefined) ?? 'done');
    }
    default:
      return label(state);
  }
}

/** A paragraph of the text about an image, stored or not. */
const IMAGE_NOTE = /^\(Picture [0-9]+(?:: [^\n]*| is [^\n]*)\)[ \t\r]*$/gm;

/** Return the label of a completed answer that has images and no text; null for any other. */
export function imagesLabel(
  answer: Pick<Answer, 'status' | 'finish_reason' | 'text' | 'images'> | null
): string | null {
  const { status, finish_reason: reason, text = '', images = [] } = answer ?? {};
  if (status !== 'completed' || reason !== 'stop' || images.length === 0 || hasText(text.replace(IMAGE_NOTE, ''))) {
    return null;
  }
  return trans._n('Done, %1 image', 'Done, %1 images', images.length);
}

/** Return when a waiting job continues; `notBefore` and `now` are Unix seconds. */
export function waitLabel(notBefore: number | null, error: ErrorInfo | null, now: number): string {
  if (error?.code === 'no_provider') {
    return trans.__('Waiting for a server with this provider');
  }
  // Rounded up: the label never shows 0 while time is left.
  const left = notBefore === null ? 0 : Math.ceil(notBefore - now);
  return left > 0 ? trans.__('Next attempt in %1', formatDuration(left)) : trans.__('Next attempt soon');
}

/** Why there is a new attempt, by the error code of the one before. */
const AFTER: Record<string, (() => string) | undefined> = {
  server_died: () => trans.__('after the server died'),
  server_stopped: () => trans.__('after the server was stopped'),
  answer_gone: () => trans.__('after the provider lost the answer'),
  no_provider: () => trans.__('after its server was gone'),
  rate_limited: () => trans.__('after the provider was busy'),
  unreachable: () => trans.__('after the provider could not be reached'),
  provider_error: () => trans.__('after an error at the provider'),
  idle_timeout: () => trans.__('after the provider sent nothing for too long'),
  total_timeout: () => trans.__('after the attempt took too long'),
  truncated: () => trans.__('after the answer broke off'),
  malformed_stream: () => trans.__('after the answer could not be read')
};

/** Return the number of an attempt and why it was made. */
export function attemptLabel({ attempt, after }: Attempt): string {
  const number = trans.__('Attempt %1', attempt);
  const reason = AFTER[after ?? '']?.();
  return reason === undefined ? number : `${number} · ${reason}`;
}

const RETRIED: Record<End, () => string> = {
  completed: () => trans.__('Retry of a completed answer'),
  failed: () => trans.__('Retry of a failed answer'),
  cancelled: () => trans.__('Retry of a stopped answer'),
  interrupted: () => trans.__('Retry of an interrupted answer')
};

const BEFORE: Record<End, () => string> = {
  completed: () => trans.__('Before that: a completed answer'),
  failed: () => trans.__('Before that: a failed answer'),
  cancelled: () => trans.__('Before that: a stopped answer'),
  interrupted: () => trans.__('Before that: an interrupted answer')
};

/** Return the title of an answer that was retried; `last`: the answer on the screen is its retry. */
export function retriedLabel(status: Status, last: boolean): string {
  if (status in RETRIED) {
    return (last ? RETRIED : BEFORE)[status as End]();
  }
  return last ? trans.__('Retry of an answer') : trans.__('Before that: an answer');
}

/** Return how many jobs of a batch have ended, by end. */
export function countsLabel({ completed, failed, interrupted, cancelled }: EndCounts): string {
  const parts = [
    completed > 0 && trans.__('%1 answered', formatNumber(completed)),
    failed > 0 && trans.__('%1 failed', formatNumber(failed)),
    interrupted > 0 && trans.__('%1 interrupted', formatNumber(interrupted)),
    cancelled > 0 && trans.__('%1 stopped', formatNumber(cancelled))
  ];
  return parts.filter(Boolean).join(', ') || trans.__('No rows submitted');
}

/** Return how long a job has run, or has been queued; `now` is in Unix seconds. Empty while that is unknown. */
export function elapsedLabel(times: Times, now: number): string {
  const from = times.started ?? times.queued;
  // The server's clock may be ahead of the page's: formatDuration() shows no negative time.
  return from === null ? '' : formatDuration((times.ended ?? now) - from);
}

/** Return how long ago something was, from Unix seconds. */
export function agoLabel(at: number): string {
  return trans.__('%1 ago', formatDuration(Date.now() / 1000 - at));
}

/** Return the number of output tokens. */
export function tokenLabel(usage: UsageInfo | null): string {
  const count = usage?.output_tokens;
  return count == null ? '' : trans._n('%2 token', '%2 tokens', count, formatNumber(count));
}

/** Return the token counts by kind, for a tooltip. */
export function usageLabel(usage: UsageInfo | null): string {
  const parts = [
    [usage?.input_tokens, (count: string) => trans.__('%1 in', count)],
    [usage?.output_tokens, (count: string) => trans.__('%1 out', count)],
    [usage?.cached_tokens, (count: string) => trans.__('%1 from the cache', count)],
    [usage?.cache_write_tokens, (count: string) => trans.__('%1 into the cache', count)],
    [usage?.reasoning_tokens, (count: string) => trans.__('%1 for reasoning', count)]
  ] as const;
  return parts.flatMap(([count, label]) => (count == null ? [] : [label(formatNumber(count))])).join(', ');
}

/** Return where a price comes from, for a tooltip. */
export function costSource(cost: Cost | null): string {
  if (cost === null) {
    return '';
  }
  return cost.estimated
    ? trans.__('An estimate by list prices: the provider may bill another amount.')
    : trans.__('The cost that the provider reported.');
}

/** Return the sentence of a view whose job was deleted while it was on the screen. */
export function deletedMessage(inNotebook: boolean): string {
  return inNotebook
    ? trans.__('This job was deleted. Its text is kept in the notebook when you save.')
    : trans.__('This job was deleted.');
}

/** Return why a view shows saved text instead of the log. */
export function troubleMessage({ code, message }: ErrorInfo): string {
  return code === 'not_found' ? trans.__('This job is not on this server; saved text shown.') : message;
}
