/** The rows of the panel's list of jobs: a job and the jobs that it retries are one row. */

import { hasEnded } from '../wire/fold';
import type { Job } from '../wire/wire';
import { namesPeople } from './submitters';

export interface JobItem {
  /** The same while retries come: the oldest's. */
  id: string;
  /** The newest. */
  job: Job;
  /** The jobs that it retries, the newest first. */
  earlier: readonly Job[];
  /** Whether it still runs although its cell was run again. */
  overtaken: boolean;
  /** Whether its row names the submitter. */
  named: boolean;
}

/** Seconds between two jobs of one run of a cell, at most: it asks several models, or asks in a loop. */
const SAME_RUN = 2;

/** Return the rows of a list of jobs, the newest first as they are, for a viewer of this name. */
export function jobItems(jobs: readonly Job[], viewer: string | null): JobItem[] {
  const named = namesPeople(jobs, viewer);
  const byId = new Map(jobs.map(job => [job.id, job]));
  const cells = new Map<string, { asked: number; overtaken: boolean }>(); // and their jobs that came last
  const rows: JobItem[] = [];
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
    const newer = cells.get(cell ?? '');
    const asked = (earlier.at(-1) ?? job).created_at;
    const overtaken = newer !== undefined && (newer.overtaken || newer.asked - asked > SAME_RUN);
    rows.push({
      id: earlier.at(-1)?.id ?? job.id,
      job,
      earlier,
      overtaken: overtaken && !hasEnded(job.status),
      named
    });
    if (cell !== null) {
      cells.set(cell, { asked, overtaken });
    }
  }
  return rows;
}

function cellOf({ source }: Job): string | null {
  const home = source?.notebook ?? source?.kernel;
  return source?.cell == null || home == null ? null : `${home}\n${source.cell}`;
}
