/** State of the jobs and batches in a notebook, and the outputs to save for it. */

import type { BatchFeed } from '../wire/liveBatches';
import { type Disposable, type Followed, type JobFeed, wasDeleted } from '../wire/jobFeed';
import { type Answer, hasEnded } from '../wire/fold';
import type { Chain, Chains } from '../wire/retryChains';
import type { BatchInfo } from '../wire/types';
import { FileImages } from './savedImages';
import { lacksImages } from './images';
import { idsOf, type JobOutput } from './findOutputs';
import { type OutputData, textOf, updatedBatchOutput, updatedOutput } from './mimebundle';

/** The feeds of jobs and batches. */
export interface NotebookFeeds {
  live: Pick<JobFeed, 'follow'> & Required<Pick<JobFeed, 'image'>>;
  retries: Pick<Chains, 'watch'>;
  batches: Pick<BatchFeed, 'follow'>;
}

/** Called when a job or batch has ended. `live`: this page followed it before its end; else it ended before that. */
export type Ended = (id: string, live: boolean) => void;

/** A job in the notebook, and its newest retry, whose answer is the one to save. */
interface NotebookJob {
  newest: string;
  /** State of the newest retry; null while it is not followed. */
  state: Followed | null;
  images: FileImages;
  /** Set if it has ended; reported when its images are loaded. `live`: as for `Ended`. */
  ending: { live: boolean } | null;
  following: Disposable | null;
  watching: Disposable | null;
}

interface NotebookBatch {
  batch: BatchInfo | null;
  following: Disposable | null;
}

/** The largest difference between the clocks of server and page. */
const SKEW = 60; // s

export class NotebookJobs {
  constructor(
    private readonly _feeds: NotebookFeeds,
    private readonly _ended: Ended
  ) {}

  dispose(): void {
    this._jobs.forEach(entry => forget(entry));
    this._jobs.clear();
    this._byNewest.clear();
    this._batches.forEach(({ following }) => following?.dispose());
    this._batches.clear();
  }

  /** Follow the jobs and batches that are not complete in these outputs, and no others. */
  look(outputs: Iterable<JobOutput>): void {
    const here = new Set<string>();
    for (const output of outputs) {
      idsOf(output).forEach(id => here.add(id));
      // Jobs side by side are written together.
      const unfinished =
        output.jobs.some(({ status }) => !hasEnded(status)) || lacksImages(textOf(output.data, 'text/markdown'));
      for (const { id } of output.jobs) {
        if (!this._jobs.has(id)) {
          this._add(id, unfinished);
        }
      }
      if (output.batch !== null && !this._batches.has(output.batch.id)) {
        this._addBatch(output.batch.id);
      }
    }
    for (const [id, entry] of this._jobs) {
      if (!here.has(id)) {
        forget(entry);
        this._jobs.delete(id);
        this._unindex(entry);
      }
    }
    for (const [id, { following }] of this._batches) {
      if (!here.has(id)) {
        following?.dispose();
        this._batches.delete(id);
      }
    }
  }

  has(id: string): boolean {
    return this._batches.has(id) || this._job(id) !== undefined;
  }

  /** Return whether a job or batch has ended, as far as this page knows. */
  isOver(id: string): boolean {
    const { state, images } = this._job(id) ?? {};
    const batch = this._batches.get(id)?.batch;
    return batch == null ? state != null && isOver(state) && images?.isSettled === true : hasEnded(batch.status);
  }

  /** Return whether an output shows this job, a job that it retries, or this batch. */
  shows(output: JobOutput, id: string): boolean {
    return output.batch === null ? output.jobs.some(job => this._job(job.id)?.newest === id) : output.batch.id === id;
  }

  /** Return the data that an output should have; null if it has these or newer data. */
  updatedData({ data, batch }: JobOutput): OutputData | null {
    if (batch !== null) {
      const info = this._batches.get(batch.id)?.batch;
      return info == null ? null : updatedBatchOutput(data, info);
    }
    return updatedOutput(data, id => {
      const { newest, state, images } = this._job(id) ?? {};
      // A followed job is written even if it was deleted since; without a followed job the file stays as it is.
      return newest === undefined || state?.cursor == null
        ? null
        : { id: newest, cursor: state.cursor, answer: lastKnown(state), file: image => images?.file(image) ?? null };
    });
  }

  /** Return whether the page knows an end that the output does not have. */
  isEndMissing({ jobs, batch, data }: JobOutput): boolean {
    if (batch !== null) {
      return this.isOver(batch.id);
    }
    return jobs.some(({ id, status, cursor }) => {
      const { newest, state } = this._job(id) ?? {};
      const differs = newest !== id || !hasEnded(status) || cursor !== state?.cursor;
      return state != null && isOver(state) && (differs || lacksImages(textOf(data, 'text/markdown')));
    });
  }

  /** Find a job by its id or that of its newest retry, which a save may have written into the notebook. */
  private _job(id: string): NotebookJob | undefined {
    const same = [...(this._byNewest.get(id) ?? [])];
    return same.find(({ state }) => state !== null) ?? same[0] ?? this._jobs.get(id);
  }

  private _index(entry: NotebookJob, newest: string): void {
    this._unindex(entry);
    entry.newest = newest;
    this._byNewest.set(newest, (this._byNewest.get(newest) ?? new Set()).add(entry));
  }

  private _unindex(entry: NotebookJob): void {
    const same = this._byNewest.get(entry.newest);
    if (same?.delete(entry) === true && same.size === 0) {
      this._byNewest.delete(entry.newest);
    }
  }

  private _add(job: string, unfinished: boolean): void {
    const images = this._imagesOf(job, () => undefined);
    const entry: NotebookJob = { newest: job, state: null, images, ending: null, following: null, watching: null };
    this._jobs.set(job, entry);
    this._index(entry, job);
    if (unfinished) {
      this._follow(entry);
    }
    entry.watching = this._feeds.retries.watch(job, (chain: Chain) => {
      const newest = chain.at(-1)?.id ?? job;
      if (newest !== entry.newest) {
        this._index(entry, newest);
        this._follow(entry);
      }
    });
  }

  private _follow(entry: NotebookJob): void {
    const job = entry.newest;
    entry.following?.dispose();
    entry.state = entry.ending = null;
    entry.images = this._imagesOf(job, () => this._reportEnd(entry, job));
    entry.following = this._feeds.live.follow(job, state => {
      const before = entry.state;
      entry.state = state;
      entry.images.take(state.answer.images);
      if (isOver(state) && (before === null || !isOver(before))) {
        const ended = state.times.ended ?? Infinity;
        entry.ending = { live: before?.cursor != null && ended > this._since - SKEW };
        this._reportEnd(entry, job);
      }
    });
  }

  private _reportEnd(entry: NotebookJob, job: string): void {
    if (entry.ending !== null && entry.newest === job && entry.images.isSettled) {
      const { live } = entry.ending;
      entry.ending = null;
      this._ended(job, live);
    }
  }

  private _imagesOf(job: string, settled: () => void): FileImages {
    return new FileImages(image => this._feeds.live.image(job, image), settled);
  }

  private _addBatch(id: string): void {
    const entry: NotebookBatch = { batch: null, following: null };
    this._batches.set(id, entry);
    entry.following = this._feeds.batches.follow(id, batch => {
      const before = entry.batch;
      entry.batch = batch;
      if (batch !== null && hasEnded(batch.status) && (before === null || !hasEnded(before.status))) {
        this._ended(id, before !== null);
      }
    });
  }

  /** Time at which the page was opened, in Unix seconds. */
  private readonly _since = Date.now() / 1000;
  /** Jobs by their id in the notebook. */
  private readonly _jobs = new Map<string, NotebookJob>();
  /** Jobs by the id of their newest retry: a file can name any number of jobs, and each save looks up each of them. */
  private readonly _byNewest = new Map<string, Set<NotebookJob>>();
  private readonly _batches = new Map<string, NotebookBatch>();
}

function forget({ following, watching }: NotebookJob): void {
  following?.dispose();
  watching?.dispose();
}

/** Return whether a job will not change: it has ended, or was deleted while it was followed. */
function isOver(state: Followed): boolean {
  return state.closed || wasDeleted(state);
}

/** Return the answer to write: a job that was deleted before its end counts as cancelled. */
function lastKnown(state: Followed): Answer {
  const { answer } = state;
  return wasDeleted(state) && !hasEnded(answer.status) ? { ...answer, status: 'cancelled' } : answer;
}
