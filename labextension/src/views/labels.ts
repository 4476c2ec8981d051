/** What the state line says. */

import type { Answer, Times, Try } from '../wire/fold';
import { clipped } from '../render/boundedText';
import type { Cost, Counts, End, Fault, Status, Usage } from '../wire/wire';

/** The states of a view: those of the job, with what a reader wants to know of a running one. */
export type Shown = 'connecting' | 'missing' | 'thinking' | 'streaming' | Exclude<Status, 'running'>;

const WORDS: Record<Shown, string> = {
  connecting: 'connecting…',
  missing: 'not here',
  queued: 'queued',
  thinking: 'thinking…',
  streaming: 'streaming…',
  waiting: 'waiting',
  completed: 'done',
  failed: 'failed',
  cancelled: 'stopped',
  interrupted: 'interrupted'
};

/** Finish reasons that mean more than "done". */
const CUT: Record<string, string | undefined> = {
  length: 'done, cut off',
  content_filter: 'done, cut off',
  refusal: 'done, declined',
  tool_calls: 'done, asks for tools'
};

/** The same sentences as in `jupyter_bgstream/outputs/mimebundle.py`. */
const ENDINGS: Record<string, string | undefined> = {
  stop: '',
  length: 'The answer was cut off at the limit of tokens.',
  content_filter: 'The answer was cut off by the content filter of the provider.',
  refusal: 'The model declined to answer.',
  tool_calls: 'The model asks for tools. None was called.',
  other: 'The answer ended for a reason that the provider does not explain.'
};

/** The state of a job as a reader sees it. */
export function shown(status: Status, text: string): Shown {
  return status === 'running' ? (text === '' ? 'thinking' : 'streaming') : status;
}

/** The state in words. */
export function stateWords(state: Shown, finishReason: string | null): string {
  const reason = finishReason ?? '';
  return (state === 'completed' && Object.hasOwn(CUT, reason) ? CUT[reason] : undefined) ?? WORDS[state];
}

/** A paragraph of the text that stands for a picture, or for one that was not kept. */
const PICTURE = /^\(Picture [0-9]+(?:: [^\n]*| is [^\n]*)\)[ \t\r]*$/gm;

/** What a whole answer is, where "done" does not say it: pictures only. Null if it is no such answer. */
export function endedWords(answer: Pick<Answer, 'status' | 'finish_reason' | 'text' | 'images'> | null): string | null {
  const { status, finish_reason: reason, text = '', images = [] } = answer ?? {};
  if (status !== 'completed' || reason !== 'stop' || images.length === 0 || hasWords(text.replace(PICTURE, ''))) {
    return null;
  }
  return images.length === 1 ? 'done, 1 picture' : `done, ${images.length} pictures`;
}

/** What is read of an answer to say why it ended. */
type Ended = Pick<Answer, 'finish_reason' | 'text' | 'reasoning' | 'tool_calls'>;

/** Why a completed answer ended, or why it has no text, unless that is plain. */
export function endingWords(answer: Ended): string {
  return reasonWords(answer.finish_reason) || noTextWords(answer);
}

function noTextWords({ text, reasoning, tool_calls }: Ended): string {
  if (hasWords(text)) {
    return '';
  }
  if (tool_calls.length > 0) {
    return 'The answer has no text, only tool calls.';
  }
  return hasWords(reasoning)
    ? 'The answer has no text: the model only reasoned. Retry, or raise max_tokens.'
    : 'The answer has no text: the provider ended it before the first word.';
}

/** Whether a text is more than blanks. */
export function hasWords(text: string): boolean {
  return /[^ \t\r\n]/.test(text);
}

function reasonWords(finishReason: string | null): string {
  const reason = finishReason ?? 'stop';
  return Object.hasOwn(ENDINGS, reason) ? (ENDINGS[reason] ?? '') : `The answer ended for another reason: ${reason}.`;
}

/** The first words of an answer in one line, without the marks of its Markdown. */
export function previewWords(markdown: string): string {
  return clipped(markdown, 2000)
    .replace(/^\s*(?:#+|>|[-+*]|\d+\.)\s+/gm, '')
    .replace(/[*`~]+|\b_+|_+\b/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** What is waited for, while a try is put off until `notBefore` because of the error. */
export function waitWords(notBefore: number | null, error: Fault | null, now: number): string {
  if (error?.code === 'no_provider') {
    return 'waits for a server that knows its provider';
  }
  // Rounded up: it never says that no time is left while there is some.
  const left = notBefore === null ? 0 : Math.ceil(notBefore - now);
  return left > 0 ? `next try in ${durationWords(left)}` : 'trying soon';
}

/** What the try before came to, by code. */
const AFTER: Record<string, string | undefined> = {
  server_died: 'after the server died',
  server_stopped: 'after the server was stopped',
  answer_gone: 'after the provider had forgotten the answer',
  no_provider: 'after its server was gone',
  rate_limited: 'after the provider was busy',
  unreachable: 'after the provider could not be reached',
  provider_error: 'after an error at the provider',
  idle_timeout: 'after the provider fell silent',
  total_timeout: 'after the time was up',
  truncated: 'after the answer broke off',
  malformed_stream: 'after the answer could not be read'
};

/** That this is a new attempt, and why. */
export function tryWords({ attempt, after }: Try): string {
  const why = AFTER[after ?? ''];
  return `Attempt ${attempt}${why === undefined ? '' : ` · ${why}`}`;
}

const ENDED: Record<End, string> = {
  completed: 'a completed answer',
  failed: 'a failed answer',
  cancelled: 'a stopped answer',
  interrupted: 'an interrupted answer'
};

/** What was asked again; `last`: this was asked again by the answer that is shown. */
export function retryWords(status: Status, last: boolean): string {
  const what = status in ENDED ? ENDED[status as End] : 'an answer';
  return last ? `Retry of ${what}` : `Before that: ${what}`;
}

/** How many of a group have ended, and how. */
export function countWords(counts: Counts): string {
  const parts: [number, string][] = [
    [counts.completed, 'answered'],
    [counts.failed, 'failed'],
    [counts.interrupted, 'interrupted'],
    [counts.cancelled, 'stopped']
  ];
  const some = parts.filter(([count]) => count > 0).map(([count, word]) => `${count.toLocaleString('en')} ${word}`);
  return some.join(', ') || 'nothing asked';
}

/** A sentence that may be a provider's essay, in at most so many characters and whole words. */
export function shortWords(text: string, limit = 160): string {
  // Cut before it is cleaned: it may be megabytes.
  const line = clipped(text.trimStart(), 10 * limit)
    .replace(/\s+/g, ' ')
    .trim();
  if (line.length <= limit) {
    return line;
  }
  const cut = line.slice(0, limit);
  const whole = cut.slice(0, cut.lastIndexOf(' '));
  // A text without spaces is cut anywhere, but never in the middle of a character.
  const kept = whole.length > limit / 2 ? whole : cut.replace(/[\uD800-\uDBFF]$/, '');
  return `${kept.replace(/[\s,;:.–—-]+$/, '')}…`;
}

/** Seconds in words: 8 s, 1 min 5 s, 2 h 3 min. */
export function durationWords(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long the job has run, or waited to run; empty while that is unknown. */
export function elapsedWords(times: Times, now: number): string {
  const from = times.started ?? times.queued;
  // The server's clock may be ahead of ours: never a negative time.
  return from === null ? '' : durationWords((times.ended ?? now) - from);
}

export function tokenWords(usage: Usage | null): string {
  const count = usage?.output_tokens;
  return count == null ? '' : `${count.toLocaleString('en')} ${count === 1 ? 'token' : 'tokens'}`;
}

/** The details of the token counts, for a tooltip. */
export function usageWords(usage: Usage | null): string {
  const parts = [
    ['in', usage?.input_tokens],
    ['out', usage?.output_tokens],
    ['from the cache', usage?.cached_tokens],
    ['into the cache', usage?.cache_write_tokens],
    ['for reasoning', usage?.reasoning_tokens]
  ] as const;
  return parts.flatMap(([name, count]) => (count == null ? [] : [`${count.toLocaleString('en')} ${name}`])).join(', ');
}

/** A price: two digits that count below a cent, and the sign of an estimate; empty if it is not known. */
export function costWords(cost: Cost | null): string {
  if (cost === null) {
    return '';
  }
  const { usd, estimated } = cost;
  return `${estimated ? '≈ ' : ''}${usd > 0 && usd < 0.0001 ? '<$0.0001' : `$${digits(usd)}`}`;
}

function digits(usd: number): string {
  if (usd === 0) {
    return '0';
  }
  const cents = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return usd >= 0.095 ? usd.toLocaleString('en', cents) : String(Number(usd.toPrecision(2)));
}

/** Where a price comes from, for a tooltip. */
export function priceWords(cost: Cost | null): string {
  if (cost === null) {
    return '';
  }
  return cost.estimated
    ? 'An estimate by list prices: what the provider bills may differ.'
    : 'What the provider says it cost.';
}

/** What a view says of a job that was deleted while it was shown. */
export function deletedWords(inNotebook: boolean): string {
  return `This job was deleted.${inNotebook ? ' Its text is kept in the notebook when you save.' : ''}`;
}

/** Why the view shows saved text instead of the log. */
export function troubleWords(trouble: Fault): string {
  return trouble.code === 'not_found' ? 'This job is not on this server; saved text shown.' : trouble.message;
}
