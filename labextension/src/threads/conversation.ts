/** An open thread: its turns, which are updated, and the draft of the next question. */

import { UUID } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';

import { askerLabel, namesPeople } from '../panel/submitters';
import type { Requests } from '../wire/restClient';
import { ServerModel } from '../wire/serverModel';
import type { JobInfo, MessageInfo, ThreadInfo } from '../wire/types';
import { type Turn, turnsOf } from './turns';

/** Limit of jobs read at a time. Views of older turns follow their jobs themselves. */
const JOBS = 500;
/** Turns without an answer whose whole question is read; older ones show the job's title. */
const QUESTIONS = 30;
/** Delay after a failed read, unless a hint arrives first. */
const AGAIN = 5000; // ms

/** The draft of the next question; it outlives the view. */
export interface Draft {
  text: string;
  /** Null: the model of the thread. */
  model: string | null;
  /** Id of the next job, so that a repeated request after a failure submits it once. */
  id: string | null;
  /** Why it could not be sent. */
  error: string | null;
}

export type ConversationServer = Pick<Requests, 'threads' | 'threadMessages' | 'jobs' | 'messages' | 'submit'>;

export class Conversation extends ServerModel {
  /** Emitted when this is disposed of. */
  readonly ended = new Signal<this, void>(this);
  /** The thread; null while it is not known, or if the server has none of that name. */
  thread: ThreadInfo | null = null;
  /** Turns, oldest first. */
  turns: readonly Turn[] = [];
  /** not-read: not known yet; new: no question was asked; gone: it was deleted. */
  state: 'not-read' | 'new' | 'there' | 'gone' = 'not-read';
  isSending = false;

  /** @param moved is called when the thread has another name, wherever it was given. */
  constructor(
    private _name: string,
    readonly draft: Draft,
    private readonly _server: ConversationServer,
    private readonly _moved: (conversation: Conversation, before: string) => void
  ) {
    super();
    this._fetch.ask();
  }

  override dispose(): void {
    if (!this.isDisposed) {
      clearTimeout(this._later);
      this.ended.emit();
      super.dispose();
    }
  }

  get name(): string {
    return this._name;
  }

  set name(name: string) {
    if (name !== this._name) {
      const before = this._name;
      this._name = name;
      this._moved(this, before);
      this._fetch.ask();
      this.changed.emit();
    }
  }

  /** Return the label of a turn's author. */
  askerOf({ asker }: Turn): string {
    return askerLabel(asker, this._viewer, this._named);
  }

  /** Why this may be outdated; null if it is not. */
  get trouble(): string | null {
    return this._fetch.failure;
  }

  /** Model of the next job; empty: the server's default. */
  get model(): string {
    return this.draft.model ?? this.thread?.model ?? '';
  }

  /** Emitted when something may have changed. */
  refresh(): void {
    this._fetch.ask();
  }

  /** Keep the draft. */
  write(change: { text: string } | { model: string }): void {
    Object.assign(this.draft, change, { id: null });
    this.changed.emit();
  }

  /** Submit the draft. If that fails, the draft has the reason. */
  async send(): Promise<void> {
    const { draft, model } = this;
    const prompt = draft.text;
    if (this.isSending || prompt.trim() === '') {
      return;
    }
    this.isSending = true;
    const id = (draft.id ??= UUID.uuid4());
    draft.error = null;
    this.changed.emit();
    try {
      await this._server.submit({
        id,
        prompt,
        thread: this._name,
        priority: 'interactive',
        ...(model.trim() === '' ? {} : { model: model.trim() })
      });
      draft.text = draft.text === prompt ? '' : draft.text; // the user may already write the next
      draft.id = null;
    } catch (error) {
      draft.error = (error as Error).message;
    }
    this.isSending = false;
    this._fetch.ask();
    super.settled();
  }

  private async _read(): Promise<void> {
    const name = this._name;
    const {
      threads: [thread]
    } = await this._server.threads({ thread: name });
    if (thread === undefined) {
      await this._lose();
      return;
    }
    const mark = JSON.stringify(thread);
    if (mark !== this._mark) {
      const [messages, { jobs, viewer }] = await Promise.all([
        this._server.threadMessages(name),
        this._server.jobs(JOBS, { thread: name })
      ]);
      const turns = turnsOf(messages, jobs);
      await Promise.all([this._learnRecords(turns), this._learnQuestions(turns)]);
      const records = turns.map(({ record, job }) => record ?? this._records.get(job ?? '') ?? null);
      this._viewer = viewer;
      this._named = namesPeople([...jobs, ...records.filter(record => record !== null)], viewer);
      this.turns = turns.map((turn, i) => ({
        ...turn,
        record: records[i] ?? null,
        asker: turn.asker ?? askerOf(records[i] ?? null),
        asked: turn.asked.length > 0 ? turn.asked : (this._questions.get(turn.id) ?? titleOf(turn))
      }));
      this._mark = mark;
    }
    this.thread = thread;
    this.state = 'there';
  }

  /** Handle a name without a thread: the thread was renamed or deleted, or has no question yet. */
  private async _lose(): Promise<void> {
    const last = this.turns.findLast(({ record }) => record?.thread === this._name)?.job;
    if (last != null) {
      const { jobs } = await this._server.jobs(1, { ids: last });
      const name = jobs[0]?.thread ?? this._name;
      if (name !== this._name) {
        this.name = name;
        return;
      }
    }
    this.state = this.thread !== null || this.state === 'gone' ? 'gone' : 'new';
    this.thread = null;
    this.turns = [];
    this._mark = '';
  }

  /** Read the records of jobs of the thread from which this one was forked. */
  private async _learnRecords(turns: readonly Turn[]): Promise<void> {
    const ids = turns.flatMap(({ job, record }) =>
      job === null || record !== null || this._records.has(job) ? [] : [job]
    );
    for (let from = 0; from < ids.length; from += JOBS) {
      const { jobs } = await this._server.jobs(JOBS, { ids: ids.slice(from, from + JOBS).join(',') });
      jobs.forEach(job => this._records.set(job.id, job));
    }
  }

  /** Read the questions of turns without an answer. */
  private async _learnQuestions(turns: readonly Turn[]): Promise<void> {
    const silent = turns.filter(({ id, asked }) => asked.length === 0 && !this._questions.has(id)).slice(-QUESTIONS);
    await Promise.all(
      silent.map(async ({ id, job }) => {
        try {
          this._questions.set(id, await this._server.messages(job ?? id));
        } catch {
          // The title replaces the question.
        }
      })
    );
  }

  protected override settled(): void {
    clearTimeout(this._later);
    if (this._fetch.failure !== null && !this.isDisposed) {
      this._later = setTimeout(() => this._fetch.ask(), AGAIN);
    }
    super.settled();
  }

  private readonly _fetch = this.fetch(() => this._read());
  private readonly _records = new Map<string, JobInfo>();
  private readonly _questions = new Map<string, readonly MessageInfo[]>();
  private _viewer: string | null = null;
  /** Whether other users than the viewer take part. */
  private _named = false;
  /** The thread when its turns were read: while it is the same, so are they. */
  private _mark = '';
  private _later: ReturnType<typeof setTimeout> | undefined;
}

/** Return the author of a job that was forked from another thread; its retries have none. */
function askerOf(record: JobInfo | null): string | null {
  return record?.retry_of === null ? record.submitted_by : null;
}

function titleOf({ record }: Turn): readonly MessageInfo[] {
  return record === null ? [] : [{ role: 'user', content: record.title }];
}
