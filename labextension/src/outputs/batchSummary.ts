/** Summarizes a batch as one English line for a notebook file. The same as `jupyter_bgstream/outputs/batch.py`. */

import { formatNumber } from '../views/format';
import type { BatchBundle } from '../wire/types';
import { oneLine } from './citations';

/** Return the title, the counts by end and, for a batch that has not ended, its state. */
export function batchSummary({ id, status, title, total, counts, paused }: BatchBundle): string {
  const ends = (['failed', 'interrupted', 'cancelled'] as const).filter(end => counts[end] > 0);
  const name = oneLine(title) === '' ? `Batch ${id}` : oneLine(title);
  return [
    `${name}: ${formatNumber(counts.completed)} of ${formatNumber(total)} answered`,
    ...ends.map(end => `${formatNumber(counts[end])} ${end}`),
    ...(paused === undefined
      ? status === 'queued' || status === 'running'
        ? [`${status}…`]
        : []
      : [`paused: ${oneLine(paused.message) || paused.code}`])
  ].join(', ');
}
