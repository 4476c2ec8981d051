/**
 * Types of the wire format, as in PROTOCOL.md. The server validates; this side has types only.
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
  /** Cost of this attempt, in USD. */
  cost: number | null;
  cost_estimated: boolean;
}

/** Cost of all attempts. */
export interface Cost {
  usd: number;
  /** Whether any part comes from list prices, not from the provider. */
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
  /** Size of the file. */
  bytes: number;
}

export type MediaType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';

/** The partial answer of an earlier attempt. */
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
    /** With `first` this is a run: several deltas joined for transport, the last of them with `seq`. */
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

/** Where a job was submitted. */
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
  /** A user's name; null for jobs of kernels and on servers without named users. */
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
  /** The ended job that this one retries. */
  retry_of: string | null;
  /** The job that retries this one. */
  retried_by: string | null;
}

/** How many jobs of a batch have ended in each way. */
export type EndCounts = Record<End, number>;

/** A batch of jobs. Of a job and its retries only the newest counts. */
export interface BatchInfo {
  id: string;
  status: 'queued' | 'running' | End;
  title: string;
  /** Announced number of jobs; `submitted` of them are on the server. */
  total: number;
  submitted: number;
  counts: EndCounts;
  /** Jobs in these states now. */
  running: number;
  waiting: number;
  queued: number;
  /** Sums of the known values. */
  usage: { input_tokens: number | null; output_tokens: number | null };
  cost: Cost | null;
  /** Set while the batch is paused. Servers of earlier versions leave it out. */
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

/** Notice of the end of a job or, if `job` is null, of the end or pause of a batch. */
export interface Notice {
  id: string;
  job: string | null;
  batch: string | null;
  status: BatchInfo['status'];
  title: string;
  preview: string;
  /** Of a batch. */
  counts: EndCounts | null;
  /** Set if the notice is about the pause, not the end. */
  paused?: Paused | null;
  thread: string | null;
  source: JobSource | null;
  created_at: number;
  read_at: number | null;
  /** Whether the notice is listed without a toast. */
  muted: boolean;
}

/** A muted notebook (`name` is its path) or thread. */
export interface Mute {
  kind: 'notebook' | 'thread';
  name: string;
}

/** State of the server; only the fields that this side uses. */
export interface ServerStatus {
  /** Sentences for the user. Servers of earlier versions leave them out. */
  warnings?: string[];
}

/** Sum of the costs of some jobs. */
export interface CostRow {
  key: string | null;
  usd: number | null;
  estimated: boolean;
}

export interface CostList {
  costs: CostRow[];
  /** Today on the server, in the form of the keys of days. */
  today: string;
}

export interface JobPage {
  jobs: Job[];
  next: string | null;
  /** `submitted_by` of the viewer's own jobs. Servers of earlier versions leave it out. */
  viewer?: string | null;
}

/** A conversation by its name. */
export interface Thread {
  name: string;
  jobs: number;
  /** Status of its oldest unfinished job, else of its last turn. */
  status: Status;
  /** Model of the last turn; `title` is also that of the last turn. */
  model: string;
  title: string;
  /** Time of the last submission, start or end. */
  updated_at: number;
  /** The thread from which it was forked, if that still exists. */
  forked_from: string | null;
}

export interface ThreadPage {
  threads: Thread[];
  next: string | null;
}

/** A part of a message; images, files and recordings have their type and size, without their data. */
export type Part =
  | { type: 'text'; text: string }
  | { type: 'image' | 'audio'; media_type: string; bytes: number }
  | { type: 'file'; media_type: string; name: string; bytes: number };

export interface Message {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: string | Part[];
  /** The tools that an assistant called. */
  tool_calls?: readonly { id: string; name: string; arguments: string }[];
}

/** A message of a thread; `status` is `completed`, or that of a job without a complete answer. */
export interface ThreadMessage extends Message {
  /** Null if its job was deleted. */
  job: string | null;
  status: Status;
}

/** A question in a thread. */
export interface JobSubmission {
  /** Created here, so that a repeated request submits one job. */
  id: string;
  prompt: string;
  thread: string;
  priority: 'interactive';
  /** The server's default if left out. */
  model?: string;
}

/** The available models; only the fields that this side uses. */
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
