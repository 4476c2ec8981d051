/** What the state line says. */

import type { Times } from './fold';
import type { Fault, Status, Usage } from './wire';

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
  length: 'done, cut off at the length limit',
  content_filter: 'done, cut off by the content filter',
  tool_calls: 'done, asks for tools'
};

/** The state of a job as a reader sees it. */
export function shown(status: Status, text: string): Shown {
  return status === 'running' ? (text === '' ? 'thinking' : 'streaming') : status;
}

/** The state in words. */
export function stateWords(state: Shown, finishReason: string | null): string {
  const cut = state === 'completed' ? CUT[finishReason ?? ''] : undefined;
  return cut ?? WORDS[state];
}

/** The first words of an answer in one line, without the marks of its Markdown. */
export function previewWords(markdown: string): string {
  return markdown
    .replace(/^\s*(?:#+|>|[-+*]|\d+\.)\s+/gm, '')
    .replace(/[*`~]+|\b_+|_+\b/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** How long until the next try, while waiting for it. */
export function waitWords(notBefore: number | null, now: number): string {
  return notBefore === null ? '' : notBefore > now ? `next try in ${durationWords(notBefore - now)}` : 'next try soon';
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
    ['for reasoning', usage?.reasoning_tokens]
  ] as const;
  return parts.flatMap(([name, count]) => (count == null ? [] : [`${count.toLocaleString('en')} ${name}`])).join(', ');
}

/** What a view says of a job that was deleted while it was shown. */
export function deletedWords(inNotebook: boolean): string {
  return `This job was deleted.${inNotebook ? ' Its text is kept in the notebook when you save.' : ''}`;
}

/** Why the view shows saved text instead of the log. */
export function troubleWords(trouble: Fault): string {
  return trouble.code === 'not_found' ? 'This job is not on this server; saved text shown.' : trouble.message;
}
