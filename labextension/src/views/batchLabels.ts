/** Labels and sentences about batches, in the page's language. */

import { oneLine } from '../outputs/citations';
import { trans } from '../translation';
import { hasEnded } from '../wire/fold';
import type { Cost, EndCounts, ErrorInfo, BatchInfo, Paused } from '../wire/types';
import { endedOf } from './batchRate';
import { formatCost, formatDuration, formatNumber } from './format';
import { label } from './jobLabels';
import { errorMessage } from './errorMessages';

/** The states of a batch's view: those of the batch, before it is known, and of one that ended with some answers. */
export type BatchState = 'connecting' | 'missing' | 'partly' | 'paused' | BatchInfo['status'];

/** The part of a batch that a notebook file has too. */
export type BatchSnapshot = Pick<BatchInfo, 'status' | 'title' | 'total' | 'counts'> & { paused?: Paused | null };

/** Return the state of a batch's view: a batch with answers has not failed as a whole. */
export function batchState({ status, counts, paused }: Omit<BatchSnapshot, 'title' | 'total'>): BatchState {
  if (paused != null && !hasEnded(status)) {
    return 'paused';
  }
  return (status === 'failed' || status === 'interrupted') && counts.completed > 0 ? 'partly' : status;
}

/** Return the label of a batch's state. */
export function batchStateLabel(state: BatchState): string {
  switch (state) {
    case 'connecting':
      return trans.__('Connecting…');
    case 'partly':
      return trans.__('Partly done');
    case 'completed':
      return label('done');
    default:
      return label(state);
  }
}

/** Return how far a batch is: 9,998 of 10,000 answered · 2 failed · 20 running. */
export function progressLabel(
  { total, counts }: Pick<BatchSnapshot, 'total' | 'counts'>,
  { running, waiting, queued }: Pick<BatchInfo, 'running' | 'waiting' | 'queued'>
): string {
  const { completed, failed, interrupted, cancelled } = counts;
  const parts = [
    trans.__('%1 of %2 answered', formatNumber(completed), formatNumber(total)),
    failed > 0 && trans.__('%1 failed', formatNumber(failed)),
    interrupted > 0 && trans.__('%1 interrupted', formatNumber(interrupted)),
    cancelled > 0 && trans.__('%1 stopped', formatNumber(cancelled)),
    running > 0 && trans.__('%1 running', formatNumber(running)),
    waiting > 0 && trans.__('%1 waiting', formatNumber(waiting)),
    queued > 0 && trans.__('%1 queued', formatNumber(queued))
  ];
  return parts.filter(Boolean).join(' · ');
}

/** Return the label of the button that retries the rows without an answer, with its cost; null if all have one. */
export function retryRowsLabel(counts: EndCounts, cost: Cost | null = null): string | null {
  const { failed, interrupted, cancelled } = counts;
  const rows = failed + interrupted + cancelled;
  if (rows === 0) {
    return null;
  }
  const count = formatNumber(rows);
  const words =
    rows === failed
      ? trans.__('Retry %1 failed', count)
      : rows === cancelled
        ? trans.__('Retry %1 stopped', count)
        : rows === interrupted
          ? trans.__('Retry %1 interrupted', count)
          : trans.__('Retry %1 without an answer', count);
  const estimate = retryCost(rows, counts, cost);
  return estimate === '' ? words : trans.__('%1 (about %2 again)', words, estimate);
}

/** Estimate what some rows cost by the answered rows, or by all that have ended if none is answered. */
function retryCost(rows: number, counts: EndCounts, cost: Cost | null): string {
  const paid = counts.completed === 0 ? endedOf(counts) : counts.completed;
  return cost === null || cost.usd === 0 || paid === 0
    ? ''
    : formatCost({ usd: (cost.usd / paid) * rows, estimated: false });
}

/** Return why a batch is paused. */
export function pausedMessage({ message, code }: Paused): string {
  return trans.__('Rows failed alike: %1', errorMessage({ code, message: oneLine(message) || code }));
}

/** Return the estimated rest of a batch's time, from seconds; empty if it is unknown. */
export function remainingTimeLabel(seconds: number | null): string {
  if (seconds === null) {
    return '';
  }
  // An estimate is rounded to its precision.
  const rounded =
    seconds < 60
      ? Math.ceil(seconds / 5) * 5
      : seconds < 600
        ? Math.ceil(seconds / 15) * 15
        : Math.ceil(seconds / 60) * 60;
  return trans.__('about %1 left', formatDuration(rounded, true));
}

/** Return the tokens per second; empty if that is unknown or zero. */
export function speedLabel(tokens: number | null): string {
  if (tokens === null || tokens === 0) {
    return '';
  }
  return trans.__('%1 tokens/s', tokens < 9.95 ? tokens.toFixed(1) : formatNumber(Math.round(tokens)));
}

/** Return why no row has ended for `stalled` seconds, as far as the page knows; empty while rows end. */
export function stalledMessage(batch: BatchInfo, stalled: number | null): string {
  const { running, waiting, queued, submitted, total } = batch;
  if (stalled === null) {
    return '';
  }
  const since = formatDuration(stalled);
  if (running === 0 && waiting > 0) {
    return trans.__('No row has ended for %1: the other rows wait for their next attempt.', since);
  }
  if (running === 0 && queued > 0) {
    return trans.__('No row has ended for %1: the other rows are queued.', since);
  }
  if (running === 0 && submitted < total) {
    return trans.__(
      '%1 of %2 rows were never submitted. Run the cell again to submit them, or stop the batch.',
      formatNumber(total - submitted),
      formatNumber(total)
    );
  }
  return trans.__('No row has ended for %1.', since);
}

/** Return why a batch's view may be out of date. */
export function batchTroubleMessage({ code, message }: ErrorInfo): string {
  return code === 'not_found' ? trans.__('This batch is not on this server; saved numbers shown.') : message;
}

/** Return the progress of a batch for a screen reader. */
export function progressValueText({ total, counts }: Pick<BatchSnapshot, 'total' | 'counts'>): string {
  return trans.__('%1 of %2 ended', formatNumber(endedOf(counts)), formatNumber(total));
}
