/** Turns of a thread: each question with the job that answers it, also turns without an answer. */

import type { JobInfo, MessageInfo, PartInfo, ThreadMessageInfo } from '../wire/types';

export interface Turn {
  /** Stays the same after retries and updates. */
  id: string;
  asked: readonly MessageInfo[];
  /** The author's name; null if it is not known, as for a kernel's job. */
  asker: string | null;
  /** A job of the chain of retries that answers; null if it was deleted. */
  job: string | null;
  /** The job's record; null if it is deleted, or of another thread. */
  record: JobInfo | null;
  /** The complete answer, if there is one. */
  answer: string | null;
}

/** Consecutive messages of one job. */
interface Segment {
  job: string | null;
  messages: ThreadMessageInfo[];
}

/**
 * Return the turns of a thread, the oldest first.
 *
 * `messages` are those that the next job will send, in order. Turns without an answer are only in `jobs`, which are newest
 * first; such a turn precedes the next turn that was submitted after it.
 */
export function turnsOf(messages: readonly ThreadMessageInfo[], jobs: readonly JobInfo[]): Turn[] {
  const rootOf = rootsOf(jobs);
  const byId = new Map(jobs.map(job => [job.id, job]));
  /** Return the author of the first job: a retry has no author. */
  const askerOf = (root: string): string | null => byId.get(root)?.submitted_by ?? null;
  const newest = new Map<string, JobInfo>();
  const order: string[] = []; // roots, the oldest first
  for (const job of [...jobs].reverse()) {
    const root = rootOf(job.id);
    if (!newest.has(root)) {
      order.push(root);
    }
    newest.set(root, job);
  }
  const place = new Map(order.map((root, i) => [root, i]));
  const segments = segmentsOf(messages);
  const spoken = new Set(segments.map(({ job }) => rootOf(job ?? '')));
  const turns: Turn[] = [];
  const shown = new Set<string>();
  let reached = 0;
  /** Add the turns without messages, up to a position. */
  const silent = (end: number): void => {
    for (; reached < end; reached++) {
      const root = order[reached] ?? '';
      const record = newest.get(root);
      if (record !== undefined && !spoken.has(root)) {
        turns.push({ id: root, asked: [], asker: askerOf(root), job: record.id, record, answer: null });
      }
    }
  };
  for (const [i, { job, messages: words }] of segments.entries()) {
    const root = rootOf(job ?? '');
    silent(place.get(root) ?? 0);
    if (job !== null && shown.has(root)) {
      continue; // both a job and its retry
    }
    shown.add(root);
    const last = words.at(-1);
    const whole = last?.role === 'assistant' && last.status === 'completed';
    turns.push({
      id: job === null ? `gone ${i}` : root,
      asked: whole ? words.slice(0, -1) : words,
      asker: askerOf(root),
      job,
      record: newest.get(root) ?? null,
      answer: whole ? textOf(last.content) : null
    });
  }
  silent(order.length);
  return turns;
}

/** Return the text of a message; images, files and recordings are described. */
export function textOf(content: MessageInfo['content']): string {
  if (typeof content === 'string') {
    return content;
  }
  return content.map(part => (part.type === 'text' ? part.text : `[${described(part)}]`)).join('\n');
}

function described(part: Exclude<PartInfo, { type: 'text' }>): string {
  return `${part.type === 'file' ? part.name : part.media_type}, ${sizeOf(part.bytes)}`;
}

/** Format a size, such as `12 kB`. */
function sizeOf(bytes: number): string {
  if (bytes < 1000) {
    return `${bytes} bytes`;
  }
  return bytes < 999_500 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Return the first job of a chain of retries. */
function rootsOf(jobs: readonly JobInfo[]): (id: string) => string {
  const older = new Map(jobs.map(({ id, retry_of }) => [id, retry_of]));
  return id => {
    let root = id;
    for (let before = older.get(id); before != null && older.has(before); before = older.get(before)) {
      root = before;
    }
    return root;
  };
}

function segmentsOf(messages: readonly ThreadMessageInfo[]): Segment[] {
  const segments: Segment[] = [];
  for (const message of messages) {
    const last = segments.at(-1);
    // Turns of deleted jobs may be adjacent: a question after an answer begins another turn.
    const continues =
      last?.job === message.job &&
      !(message.job === null && last.messages.at(-1)?.role === 'assistant' && message.role !== 'assistant');
    if (continues) {
      last.messages.push(message);
    } else {
      segments.push({ job: message.job, messages: [message] });
    }
  }
  return segments;
}
