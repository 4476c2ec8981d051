/** How the panel lists jobs: those that ask each other again as one, and what else a row says of others. */

import { hasEnded } from './fold';
import type { Job } from './wire';

export interface Listed {
  /** The same while retries come: the oldest's. */
  id: string;
  /** The newest. */
  job: Job;
  /** Those that it asks again, the newest first. */
  earlier: readonly Job[];
  /** It still goes on, and the same cell has asked something newer since. */
  overtaken: boolean;
}

/** Return the rows of a list of jobs, the newest first as they are. */
export function listed(jobs: readonly Job[]): Listed[] {
  const byId = new Map(jobs.map(job => [job.id, job]));
  const cells = new Set<string>(); // that have asked something newer
  const rows: Listed[] = [];
  for (const job of jobs) {
    if (job.retried_by !== null && byId.has(job.retried_by)) {
      continue;
    }
    const earlier: Job[] = [];
    for (
      let older = byId.get(job.retry_of ?? '');
      older !== undefined && older !== job && !earlier.includes(older);
      older = byId.get(older.retry_of ?? '')
    ) {
      earlier.push(older);
    }
    const cell = cellOf(job);
    rows.push({
      id: earlier.at(-1)?.id ?? job.id,
      job,
      earlier,
      overtaken: !hasEnded(job.status) && cell !== null && cells.has(cell)
    });
    if (cell !== null) {
      cells.add(cell);
    }
  }
  return rows;
}

function cellOf({ source }: Job): string | null {
  const home = source?.notebook ?? source?.kernel;
  return source?.cell == null || home == null ? null : `${home}\n${source.cell}`;
}
