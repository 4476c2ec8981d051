/** Names of parts of the wire format, its version, and what notebook files contain. */

import type { BatchInfo, EndCounts, EventsFrame, ImageInfo, JobInfo, Paused } from './schema';

export type * from './schema';

export type Status = JobInfo['status'];
export type End = keyof EndCounts;
export type MediaType = ImageInfo['media_type'];
/** With `first` a delta is a run: several deltas joined for transport, the last of them with `seq`. */
export type WireEvent = EventsFrame['events'][number];

/** The version of the protocol, `PROTOCOL.md`. */
export const PROTOCOL = 2;

/** The MIME type of a job in a notebook file. */
export const BUNDLE_MIME = 'application/vnd.bgstream.job.v1+json';
/** That of several side by side: `{jobs: Bundle[]}`. */
export const JOBS_MIME = 'application/vnd.bgstream.jobs.v1+json';
/** That of a batch of jobs. */
export const BATCH_MIME = 'application/vnd.bgstream.batch.v1+json';

export type Bundle = Pick<JobInfo, 'id' | 'cursor' | 'status' | 'model'>;

export type BatchBundle = Pick<BatchInfo, 'id' | 'status' | 'title' | 'total' | 'counts'> & { paused?: Paused };

/** Return whether the server accepts an id. It refuses a whole request with one other id in it. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value);
}
