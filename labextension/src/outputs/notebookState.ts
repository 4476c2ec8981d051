/** What this page knows of the jobs and batches in a notebook, and what their outputs should therefore say. */

import { type OutputData, updatedOutput, updatedBatchOutput, textOf } from './mimebundle';
import { lacksImages } from './images';
import { FileImages } from './fileImages';
import { type Answer, hasEnded } from '../wire/fold';
import type { BatchFeed } from '../wire/batches';
import { type Disposable, type Followed, type JobFeed, wasDeleted } from '../wire/feed';
import { idsOf, type JobOutput } from './jobOutputs';
import type { Chain, Chains } from '../wire/retryChains';
import type { Group } from '../wire/wire';

/** Where it is known from. */
export interface Sources {
  live: Pick<JobFeed, 'follow'> & Required<Pick<JobFeed, 'picture'>>;
  retries: Pick<Chains, 'watch'>;
  groups: Pick<BatchFeed, 'follow'>;
}

/** Something has ended. `live`: this page had it before its end; else it had ended when the page came. */
export type Ended = (id: string, live: boolean) => void;

/** A job in the notebook, and the newest that asks it again: that one's answer is the one to save. */
interface KeptJob {
  newest: string;
  /** Of the newest; null while it is not followed. */
  state: Followed | null;
  pictures: FileImages;
  /** It is over, and that is told when its pictures are here. `live`: as for `Ended`. */
  ending: { live: boolean } | null;
  following: Disposable | null;
  watching: Disposable | null;
}

interface KeptGroup {
  group: Group | null;
  following: Disposable | null;
}

/** The clocks of server and page may differ by so much. */
const SKEW = 60; // s

export class NotebookJobs {
  constructor(
    private readonly _sources: Sources,
    private readonly _ended: Ended
  ) {}

  dispose(): void {
    this._jobs.forEach(kept => forget(kept));
    this._jobs.clear();
    this._byNewest.clear();
    this._groups.forEach(({ following }) => following?.dispose());
    this._groups.clear();
  }

  /** Follow what is in these places and not yet whole in them, and nothing else. */
  look(places: Iterable<JobOutput>): void {
    const here = new Set<string>();
    for (const place of places) {
      idsOf(place).forEach(id => here.add(id));
      // Of several side by side, none can be written without the others.
      const unfinished =
        place.jobs.some(({ status }) => !hasEnded(status)) || lacksImages(textOf(place.data, 'text/markdown'));
      for (const { id } of place.jobs) {
        if (!this._jobs.has(id)) {
          this._keep(id, unfinished);
        }
      }
      if (place.batch !== null && !this._groups.has(place.batch.id)) {
        this._keepGroup(place.batch.id);
      }
    }
    for (const [id, kept] of this._jobs) {
      if (!here.has(id)) {
        forget(kept);
        this._jobs.delete(id);
        this._unname(kept);
      }
    }
    for (const [id, { following }] of this._groups) {
      if (!here.has(id)) {
        following?.dispose();
        this._groups.delete(id);
      }
    }
  }

  has(id: string): boolean {
    return this._groups.has(id) || this._job(id) !== undefined;
  }

  /** Whether it has ended, as far as this page knows. */
  isOver(id: string): boolean {
    const { state, pictures } = this._job(id) ?? {};
    const group = this._groups.get(id)?.group;
    return group == null ? state != null && isOver(state) && pictures?.isSettled === true : hasEnded(group.status);
  }

  /** Whether a place shows this job, or one that it asks again, or this batch. */
  shows(place: JobOutput, id: string): boolean {
    return place.batch === null ? place.jobs.some(job => this._job(job.id)?.newest === id) : place.batch.id === id;
  }

  /** What an output should say; null if it says so already, or if it knows better. */
  fresh({ data, batch }: JobOutput): OutputData | null {
    if (batch !== null) {
      const group = this._groups.get(batch.id)?.group;
      return group == null ? null : updatedBatchOutput(data, group);
    }
    return updatedOutput(data, id => {
      const { newest, state, pictures } = this._job(id) ?? {};
      // What was seen is written even if the server has it no more; of what was never seen, the file knows best.
      return newest === undefined || state?.cursor == null
        ? null
        : { id: newest, cursor: state.cursor, answer: lastKnown(state), file: image => pictures?.file(image) ?? null };
    });
  }

  /** Whether an end is known that the output does not say. */
  lacksEnd({ jobs, batch, data }: JobOutput): boolean {
    if (batch !== null) {
      return this.isOver(batch.id);
    }
    return jobs.some(({ id, status, cursor }) => {
      const { newest, state } = this._job(id) ?? {};
      const differs = newest !== id || !hasEnded(status) || cursor !== state?.cursor;
      return state != null && isOver(state) && (differs || lacksImages(textOf(data, 'text/markdown')));
    });
  }

  /** A save may have put the newest's id into the notebook since we looked. */
  private _job(id: string): KeptJob | undefined {
    const same = [...(this._byNewest.get(id) ?? [])];
    return same.find(({ state }) => state !== null) ?? same[0] ?? this._jobs.get(id);
  }

  private _name(kept: KeptJob, newest: string): void {
    this._unname(kept);
    kept.newest = newest;
    this._byNewest.set(newest, (this._byNewest.get(newest) ?? new Set()).add(kept));
  }

  private _unname(kept: KeptJob): void {
    const same = this._byNewest.get(kept.newest);
    if (same?.delete(kept) === true && same.size === 0) {
      this._byNewest.delete(kept.newest);
    }
  }

  private _keep(job: string, unfinished: boolean): void {
    const pictures = this._picturesOf(job, () => undefined);
    const kept: KeptJob = { newest: job, state: null, pictures, ending: null, following: null, watching: null };
    this._jobs.set(job, kept);
    this._name(kept, job);
    if (unfinished) {
      this._follow(kept);
    }
    kept.watching = this._sources.retries.watch(job, (chain: Chain) => {
      const newest = chain.at(-1)?.id ?? job;
      if (newest !== kept.newest) {
        this._name(kept, newest);
        this._follow(kept);
      }
    });
  }

  private _follow(kept: KeptJob): void {
    const job = kept.newest;
    kept.following?.dispose();
    kept.state = kept.ending = null;
    kept.pictures = this._picturesOf(job, () => this._tellEnd(kept, job));
    kept.following = this._sources.live.follow(job, state => {
      const before = kept.state;
      kept.state = state;
      kept.pictures.take(state.answer.images);
      if (isOver(state) && (before === null || !isOver(before))) {
        const ended = state.times.ended ?? Infinity;
        kept.ending = { live: before?.cursor != null && ended > this._since - SKEW };
        this._tellEnd(kept, job);
      }
    });
  }

  private _tellEnd(kept: KeptJob, job: string): void {
    if (kept.ending !== null && kept.newest === job && kept.pictures.isSettled) {
      const { live } = kept.ending;
      kept.ending = null;
      this._ended(job, live);
    }
  }

  private _picturesOf(job: string, settled: () => void): FileImages {
    return new FileImages(picture => this._sources.live.picture(job, picture), settled);
  }

  private _keepGroup(id: string): void {
    const kept: KeptGroup = { group: null, following: null };
    this._groups.set(id, kept);
    kept.following = this._sources.groups.follow(id, group => {
      const before = kept.group;
      kept.group = group;
      if (group !== null && hasEnded(group.status) && (before === null || !hasEnded(before.status))) {
        this._ended(id, before !== null);
      }
    });
  }

  /** When the page came, in Unix seconds. */
  private readonly _since = Date.now() / 1000;
  /** By the id in the notebook. */
  private readonly _jobs = new Map<string, KeptJob>();
  /** Those that are asked again by the same: a file can name any number, and each is looked up at each save. */
  private readonly _byNewest = new Map<string, Set<KeptJob>>();
  private readonly _groups = new Map<string, KeptGroup>();
}

function forget({ following, watching }: KeptJob): void {
  following?.dispose();
  watching?.dispose();
}

/** Nothing more comes: the job has ended, or was deleted while we looked. */
function isOver(state: Followed): boolean {
  return state.closed || wasDeleted(state);
}

/** The answer to write: a job that was deleted before its end was stopped. */
function lastKnown(state: Followed): Answer {
  const { answer } = state;
  return wasDeleted(state) && !hasEnded(answer.status) ? { ...answer, status: 'cancelled' } : answer;
}
