/** The rows of the panel's list of jobs: a job and the jobs that it retries are one row. */

import { hasEnded } from '../wire/fold';
import type { JobInfo } from '../wire/types';
import { namesPeople } from './submitters';

export interface JobItem {
  /** Id of the oldest job: it stays the same when the job is retried. */
  id: string;
  /** The newest job. */
  job: JobInfo;
  /** The jobs that it retries, the newest first. */
  earlier: readonly JobInfo[];
  /** Whether it still runs although its cell was run again. */
  overtaken: boolean;
  /** Whether its row names the submitter. */
  named: boolean;
}

/** Longest time in seconds between two jobs of one run of a cell, which may submit several. */
const SAME_RUN = 2;

/** Return the rows of a list of jobs, newest first like the list, for a viewer of this name. */
export function jobItems(jobs: readonly JobInfo[], viewer: string | null): JobItem[] {
  const named = namesPeople(jobs, viewer);
  const byId = new Map(jobs.map(job => [job.id, job]));
  const cells = new Map<string, { asked: number; overtaken: boolean }>(); // with their newest jobs
  const rows: JobItem[] = [];
  for (const job of jobs) {
    if (job.retried_by !== null && byId.has(job.retried_by)) {
      continue;
    }
    const earlier: JobInfo[] = [];
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

function cellOf({ source }: JobInfo): string | null {
  const home = source.notebook ?? source.kernel;
  return source.cell === null || home === null ? null : `${home}\n${source.cell}`;
}
