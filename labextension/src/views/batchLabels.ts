/** What is said of a batch. */

import { oneLine } from '../outputs/citations';
import { hasEnded } from '../wire/fold';
import { endedOf } from './batchRate';
import { costWords, durationWords } from './labels';
import type { BatchBundle, Cost, Counts, Fault, Group, Pause } from '../wire/wire';

/** The states of a batch's view: those of the group, with what a reader wants to know of one that has ended. */
export type BatchState = 'connecting' | 'missing' | 'partly' | 'paused' | Group['status'];

const WORDS: Record<BatchState, string> = {
  connecting: 'connecting…',
  missing: 'not here',
  queued: 'queued',
  running: 'running…',
  paused: 'paused',
  completed: 'done',
  partly: 'done in part',
  failed: 'failed',
  cancelled: 'stopped',
  interrupted: 'interrupted'
};

/** As much of a batch as the file has too. */
export interface Tally {
  status: Group['status'];
  title: string;
  total: number;
  counts: Counts;
  paused?: Pause | null;
}

/** The state of a batch as a reader sees it: that some failed does not make all of it a failure. */
export function batchState({ status, counts, paused }: Tally): BatchState {
  if (paused != null && !hasEnded(status)) {
    return 'paused';
  }
  return (status === 'failed' || status === 'interrupted') && counts.completed > 0 ? 'partly' : status;
}

export function batchStateWords(state: BatchState): string {
  return WORDS[state];
}

export function numberOf(count: number): string {
  return count.toLocaleString('en');
}

/** What a notebook file says of a batch, in one line: the same as `jupyter_bgstream/outputs/batch.py`. */
export function batchWords({ id, status, title, total, counts, paused }: BatchBundle): string {
  const ends = (['failed', 'interrupted', 'cancelled'] as const).filter(end => counts[end] > 0);
  const name = oneLine(title) === '' ? `Batch ${id}` : oneLine(title);
  return [
    `${name}: ${numberOf(counts.completed)} of ${numberOf(total)} answered`,
    ...ends.map(end => `${numberOf(counts[end])} ${end}`),
    ...(paused === undefined
      ? status === 'queued' || status === 'running'
        ? [`${status}…`]
        : []
      : [`paused: ${oneLine(paused.message) || paused.code}`])
  ].join(', ');
}

/** 9,998 of 10,000 answered · 2 failed · 20 running */
export function progressWords({ total, counts }: Tally, now: Pick<Group, 'running' | 'waiting' | 'queued'>): string {
  const some: [number, string][] = [
    [counts.failed, 'failed'],
    [counts.interrupted, 'interrupted'],
    [counts.cancelled, 'stopped'],
    [now.running, 'running'],
    [now.waiting, 'waiting'],
    [now.queued, 'queued']
  ];
  const parts = some.filter(([count]) => count > 0).map(([count, word]) => `${numberOf(count)} ${word}`);
  return [`${numberOf(counts.completed)} of ${numberOf(total)} answered`, ...parts].join(' · ');
}

/** How many have no answer, what asking them again is called and may cost; null if all have one. */
export function retryLabel(counts: Counts, cost: Cost | null = null): string | null {
  const { failed, interrupted, cancelled } = counts;
  const all = failed + interrupted + cancelled;
  const word =
    all === failed
      ? 'failed'
      : all === cancelled
        ? 'stopped'
        : all === interrupted
          ? 'interrupted'
          : 'without an answer';
  return all === 0 ? null : `retry ${numberOf(all)} ${word}${againWords(all, counts, cost)}`;
}

/** About what so many rows cost, by those that were paid for: at most all that have ended, at least the answered. */
function againWords(rows: number, counts: Counts, cost: Cost | null): string {
  const paid = counts.completed === 0 ? endedOf(counts) : counts.completed;
  return cost === null || cost.usd === 0 || paid === 0
    ? ''
    : ` (about ${costWords({ usd: (cost.usd / paid) * rows, estimated: false })} again)`;
}

/** Why it is paused, in a sentence. */
export function pausedWords({ message, code }: Pause): string {
  return `Rows failed alike: ${oneLine(message) || code}`;
}

/** About how long it will take; empty if nobody can know. */
export function leftWords(seconds: number | null): string {
  if (seconds === null) {
    return '';
  }
  // An estimate has no more digits than it is worth.
  const rounded =
    seconds < 60
      ? Math.ceil(seconds / 5) * 5
      : seconds < 600
        ? Math.ceil(seconds / 15) * 15
        : Math.ceil(seconds / 60) * 60;
  return `about ${durationWords(rounded).replace(/ 0 (?:s|min)$/, '')} left`;
}

/** Tokens per second; empty if unknown, or if there are none. */
export function speedWords(tokens: number | null): string {
  return tokens === null || tokens === 0
    ? ''
    : `${tokens < 9.95 ? tokens.toFixed(1) : numberOf(Math.round(tokens))} tokens/s`;
}

/** Why nothing has ended for so long, as far as one can see; empty while something does. */
export function stalledWords(group: Group, stalled: number | null): string {
  const { running, waiting, queued, submitted, total } = group;
  if (stalled === null) {
    return '';
  }
  const since = `Nothing has ended for ${durationWords(stalled)}`;
  if (running > 0) {
    return `${since}.`;
  }
  if (waiting > 0) {
    return `${since}: what is left waits for its next try.`;
  }
  if (queued > 0) {
    return `${since}: what is left waits for its turn.`;
  }
  if (submitted < total) {
    const missing = numberOf(total - submitted);
    return `${missing} of ${numberOf(total)} were never submitted. Run the cell again to submit them, or stop the batch.`;
  }
  return `${since}.`;
}

/** Why the view may be wrong. */
export function batchTroubleWords({ code, message }: Fault): string {
  return code === 'not_found' ? 'This batch is not on this server; saved numbers shown.' : message;
}

/** How far it is, for who cannot see the bar. */
export function spokenProgress({ total, counts }: Tally): string {
  return `${numberOf(endedOf(counts))} of ${numberOf(total)} ended`;
}
