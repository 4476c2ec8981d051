/**
 * What crosses the wire, as PROTOCOL.md has it. Types only: the server is the one that checks.
 */

export type Status = 'queued' | 'running' | 'waiting' | 'completed' | 'failed' | 'cancelled' | 'interrupted';

export type End = 'completed' | 'failed' | 'cancelled' | 'interrupted';

export interface ErrorInfo {
  code: string;
  message: string;
}

export interface Usage {
  input_tokens: number | null;
  output_tokens: number | null;
  cached_tokens: number | null;
  cache_write_tokens: number | null;
  reasoning_tokens: number | null;
  /** What this attempt cost, in USD. */
  cost: number | null;
  cost_estimated: boolean;
}

/** What all attempts cost. */
export interface Cost {
  usd: number;
  /** Any of it is by a list of prices and not the provider's own figure. */
  estimated: boolean;
}

export interface Citation {
  url: string;
  title: string;
}

export interface ToolCall {
  id: string;
  name: string;
  /** As the model wrote it, usually JSON. */
  arguments: string;
}

/** An image of the answer, without its file: `GET jobs/{id}/images/{image}` has it. */
export interface ImageInfo {
  /** `<attempt>-<number>`; the text names the image by this number. */
  id: string;
  media_type: MediaType;
  /** Of the file. */
  bytes: number;
}

export type MediaType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';

/** What an attempt said that was then started over. */
export interface Partial {
  attempt: number;
  text: string;
  reasoning: string;
}

interface Numbered {
  seq: number;
  attempt: number;
}

export type WireEvent = Numbered &
  (
    | { type: 'queued'; at: number }
    | { type: 'attempt'; at: number; resumed?: boolean; reason?: 'first' | 'retry' | 'recovery' }
    /** `first`: this is a run, several deltas joined for transport, and `seq` is the last of them. */
    | { type: 'delta'; channel: 'text' | 'reasoning'; text: string; first?: number }
    | ({ type: 'usage' } & { [name in keyof Usage]?: Usage[name] | null })
    | { type: 'source'; url: string; title?: string }
    | ({ type: 'tool_call' } & ToolCall)
    | ({ type: 'image' } & ImageInfo)
    | ({ type: 'waiting'; at: number; until: number } & ErrorInfo)
    | { type: 'completed'; at: number; finish_reason: string }
    | ({ type: 'failed'; at: number } & ErrorInfo)
    | ({ type: 'interrupted'; at: number } & ErrorInfo)
    | { type: 'cancelled'; at: number }
  );

/** Where a job was asked for. */
export interface JobSource {
  notebook: string | null;
  cell: string | null;
  kernel: string | null;
}

/** A job in lists, without its text. Only the fields that this side uses. */
export interface Job {
  id: string;
  status: Status;
  model: string;
  title: string;
  preview: string;
  thread: string | null;
  batch: string | null;
  source: JobSource | null;
  /** A person's name; null for jobs of kernels, and where nobody is named. */
  submitted_by: string | null;
  /** The log's tail. */
  cursor: string;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  not_before: number | null;
  usage: Usage | null;
  cost: Cost | null;
  finish_reason: string | null;
  error: ErrorInfo | null;
  /** The ended job that a user asked again by this one. */
  retry_of: string | null;
  /** The one job that asks this one again. */
  retried_by: string | null;
}

/** How many jobs of a batch have ended in each way. */
export type EndCounts = Record<End, number>;

/** Many jobs as one. Of a job that was retried only the newest counts. */
export interface BatchInfo {
  id: string;
  status: 'queued' | 'running' | End;
  title: string;
  /** As announced; `submitted` of them are there. */
  total: number;
  submitted: number;
  counts: EndCounts;
  /** Jobs in these states now. */
  running: number;
  waiting: number;
  queued: number;
  /** Sums of what is known. */
  usage: { input_tokens: number | null; output_tokens: number | null };
  cost: Cost | null;
  /** None of its jobs begins, and why. A server of earlier versions does not say. */
  paused?: Paused | null;
  source: JobSource | null;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
}

/** Why a batch is paused, and since when. */
export interface Paused extends ErrorInfo {
  at: number;
}

/** The end of a job or, if `job` is null, of the batch; or that the batch is paused. */
export interface Notice {
  id: string;
  job: string | null;
  batch: string | null;
  status: BatchInfo['status'];
  title: string;
  preview: string;
  /** Of a batch. */
  counts: EndCounts | null;
  /** It tells of that, and of no end. */
  paused?: Paused | null;
  thread: string | null;
  source: JobSource | null;
  created_at: number;
  read_at: number | null;
  /** It is listed and calls nobody. */
  muted: boolean;
}

/** What the viewer does not want to be called for: a notebook's path, or a thread. */
export interface Mute {
  kind: 'notebook' | 'thread';
  name: string;
}

/** How the server is; only the fields that this side uses. */
export interface ServerStatus {
  /** Sentences for the user. Servers before this field have none. */
  warnings?: string[];
}

/** What some jobs took together. */
export interface CostRow {
  key: string | null;
  usd: number | null;
  estimated: boolean;
}

export interface CostList {
  costs: CostRow[];
  /** Which day it is on the server, as its days are named. */
  today: string;
}

export interface JobPage {
  jobs: Job[];
  next: string | null;
  /** What `submitted_by` is in the viewer's own jobs. Servers before this field have none. */
  viewer?: string | null;
}

/** A conversation by its name. */
export interface Thread {
  name: string;
  jobs: number;
  /** Of its oldest job that has not ended, else of its last turn. */
  status: Status;
  /** Of the last turn, as is the title. */
  model: string;
  title: string;
  /** The last submit, start or end. */
  updated_at: number;
  /** The thread it was forked from, if that is still there. */
  forked_from: string | null;
}

export interface ThreadPage {
  threads: Thread[];
  next: string | null;
}

/** A part of a message; of images, files and recordings there is what they are, without their data. */
export type Part =
  | { type: 'text'; text: string }
  | { type: 'image' | 'audio'; media_type: string; bytes: number }
  | { type: 'file'; media_type: string; name: string; bytes: number };

export interface Message {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: string | Part[];
  /** Of an assistant: the tools that it asked for. */
  tool_calls?: readonly { id: string; name: string; arguments: string }[];
}

/** A message of a thread; `status` is `completed`, or that of a job of which there is only what was asked. */
export interface ThreadMessage extends Message {
  /** Null if its job was deleted. */
  job: string | null;
  status: Status;
}

/** What is asked in a thread. */
export interface JobSubmission {
  /** Made here, so that asking twice is asking once. */
  id: string;
  prompt: string;
  thread: string;
  priority: 'interactive';
  /** Left out: the server's default. */
  model?: string;
}

/** Which models there are; only the fields that this side uses. */
export interface ModelList {
  default: string | null;
  aliases: Record<string, string>;
  /** Models by their full names. */
  providers: { models: string[] }[];
}

export interface Inbox {
  notices: Notice[];
  unread: number;
}

/** The version of the protocol, `PROTOCOL.md`. */
export const PROTOCOL = 2;

export type ClientFrame =
  | { type: 'follow'; job: string; cursor: string | null }
  | { type: 'unfollow'; job: string }
  | { type: 'seen'; job: string; cursor: string }
  | { type: 'write'; document: string; job: string };

export type ServerFrame =
  | { type: 'hello'; version: string; protocol: number; server: string }
  | { type: 'events'; job: string; cursor: string; events: WireEvent[]; closed: boolean }
  | { type: 'job'; job: string; status: Status | 'deleted' }
  | { type: 'batch'; batch: string }
  | { type: 'notice' }
  | { type: 'write'; document: string; job: string; granted: boolean }
  | { type: 'reset'; job: string; code: string; message: string }
  | { type: 'error'; job: string | null; code: string; message: string }
  | { type: 'beat' };

/** The MIME type of a job in a notebook file. */
export const BUNDLE_MIME = 'application/vnd.bgstream.job.v1+json';
/** That of several side by side: `{jobs: Bundle[]}`. */
export const JOBS_MIME = 'application/vnd.bgstream.jobs.v1+json';
/** That of a batch of jobs. */
export const BATCH_MIME = 'application/vnd.bgstream.batch.v1+json';

export interface Bundle {
  id: string;
  cursor: string;
  status: Status;
  model: string;
}

export interface BatchBundle {
  id: string;
  status: BatchInfo['status'];
  title: string;
  total: number;
  counts: EndCounts;
  paused?: Paused;
}
