/**
 * How events change a job: one transition table, `apply` and `fold`.
 *
 * The same fold as `jupyter_bgstream/core/state.py`; both run the cases in `tests/golden/fold.json`.
 */

import type {
  CitationInfo,
  Cost,
  End,
  ErrorInfo,
  Partial,
  ImageInfo,
  Status,
  ToolCallInfo,
  UsageInfo,
  WireEvent
} from './types';

/** The state of a job for a reader of its log: the fold of the log. Frozen; each event makes a new one. */
export interface Answer {
  readonly status: Status | 'new';
  /** The last event seen. */
  readonly seq: number;
  readonly attempt: number;
  readonly text: string;
  readonly reasoning: string;
  readonly sources: readonly CitationInfo[];
  readonly tool_calls: readonly ToolCallInfo[];
  readonly images: readonly ImageInfo[];
  readonly usage: UsageInfo | null;
  /** Of all attempts. */
  readonly cost: Cost | null;
  readonly finish_reason: string | null;
  readonly error: ErrorInfo | null;
  /** Unix seconds, while waiting. */
  readonly not_before: number | null;
  readonly earlier: readonly Partial[];
}

/** The answer before any event. */
export const EMPTY_ANSWER: Answer = {
  status: 'new',
  seq: 0,
  attempt: 0,
  text: '',
  reasoning: '',
  sources: [],
  tool_calls: [],
  images: [],
  usage: null,
  cost: null,
  finish_reason: null,
  error: null,
  not_before: null,
  earlier: []
};

/** When a job was queued, first attempted and ended, in Unix seconds. */
export interface Times {
  readonly queued: number | null;
  readonly started: number | null;
  readonly ended: number | null;
}

export const NO_TIMES: Times = { queued: null, started: null, ended: null };

/** The table has no such transition. */
export class IllegalEventError extends Error {}

/** The event is not the next one. */
export class OutOfOrderError extends Error {}

const ENDS = { failed: 'failed', cancelled: 'cancelled', interrupted: 'interrupted' } as const;

type Table = Record<string, Record<string, Status | undefined> | undefined>;

// The whole life of a job. An end has no row: an ended job never opens again.
const TRANSITIONS: Table = {
  new: { queued: 'queued' },
  queued: { attempt: 'running', waiting: 'waiting', ...ENDS },
  running: {
    attempt: 'running',
    delta: 'running',
    usage: 'running',
    source: 'running',
    tool_call: 'running',
    image: 'running',
    waiting: 'waiting',
    completed: 'completed',
    ...ENDS
  },
  waiting: { attempt: 'running', waiting: 'waiting', ...ENDS }
};

/** Return whether a job in this state never changes again. */
export function hasEnded(status: Status | 'new'): status is End {
  return status !== 'new' && !(status in TRANSITIONS);
}

/** The number of an event's first delta; its own unless it is a run. */
export function firstOf(event: WireEvent): number {
  return event.type === 'delta' ? (event.first ?? event.seq) : event.seq;
}

/** Lists that one fold has made and that no other answer has: items are appended to them without a copy. */
export type FreshLists = WeakSet<object>;

/** Return the answer after one event; throws IllegalEventError or OutOfOrderError, and then nothing has changed. */
export function apply(answer: Answer, event: WireEvent, fresh: FreshLists = new WeakSet()): Answer {
  const status = TRANSITIONS[answer.status]?.[event.type];
  if (status === undefined) {
    throw new IllegalEventError(`A job that is ${answer.status} cannot have the event ${event.type}.`);
  }
  const first = firstOf(event);
  if (first !== answer.seq + 1 || event.seq < first) {
    throw new OutOfOrderError(`Expected event ${answer.seq + 1}, got ${first}.`);
  }
  return { ...answer, status, seq: event.seq, ...changes(answer, event, fresh) };
}

/** Apply events in order. The result does not depend on how the events are split into calls. */
export function fold(events: Iterable<WireEvent>, answer: Answer = EMPTY_ANSWER): Answer {
  const fresh: FreshLists = new WeakSet();
  for (const event of events) {
    answer = apply(answer, event, fresh);
  }
  return answer;
}

/** Return a job's times after one event. */
export function applyTimes(times: Times, event: WireEvent): Times {
  switch (event.type) {
    case 'queued':
      return { ...times, queued: event.at };
    case 'attempt':
      return { ...times, started: times.started ?? event.at };
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'interrupted':
      return { ...times, ended: event.at };
    default:
      return times;
  }
}

/** An attempt after the first. */
export interface Attempt {
  readonly attempt: number;
  /** The error code of the attempt before, or null. */
  readonly after: string | null;
}

/** Return a job's new attempts after one event; `before` is the answer without it. */
export function applyAttempts(attempts: readonly Attempt[], before: Answer, event: WireEvent): readonly Attempt[] {
  return event.type === 'attempt' && event.attempt > 1 && event.resumed !== true
    ? [...attempts, { attempt: event.attempt, after: before.error?.code ?? null }]
    : attempts;
}

type Changes = { -readonly [name in keyof Answer]?: Answer[name] };

function changes(answer: Answer, event: WireEvent, fresh: FreshLists): Changes {
  switch (event.type) {
    case 'attempt':
      return { attempt: event.attempt, not_before: null, error: null, ...(event.resumed ? {} : setAside(answer)) };
    case 'delta':
      // JavaScript engines store a growing string as a tree of its pieces: appending does not copy.
      return event.channel === 'text'
        ? { text: answer.text + event.text }
        : { reasoning: answer.reasoning + event.text };
    case 'usage':
      return counted(answer, {
        input_tokens: event.input_tokens ?? null,
        output_tokens: event.output_tokens ?? null,
        cached_tokens: event.cached_tokens ?? null,
        cache_write_tokens: event.cache_write_tokens ?? null,
        reasoning_tokens: event.reasoning_tokens ?? null,
        cost: event.cost ?? null,
        cost_estimated: event.cost_estimated ?? false
      });
    case 'source':
      return { sources: append(answer.sources, { url: event.url, title: event.title ?? '' }, fresh) };
    case 'tool_call':
      return {
        tool_calls: append(answer.tool_calls, { id: event.id, name: event.name, arguments: event.arguments }, fresh)
      };
    case 'image':
      return { images: [...answer.images, { id: event.id, media_type: event.media_type, bytes: event.bytes }] };
    case 'waiting':
      return { not_before: event.until, error: { code: event.code, message: event.message } };
    case 'completed':
      return { finish_reason: event.finish_reason, not_before: null };
    case 'failed':
    case 'interrupted':
      return { error: { code: event.code, message: event.message }, not_before: null };
    case 'cancelled':
      return { not_before: null, error: null };
    case 'queued':
      return {};
  }
}

function append<T>(list: readonly T[], item: T, fresh: FreshLists): readonly T[] {
  if (fresh.has(list)) {
    (list as T[]).push(item);
    return list;
  }
  const longer = [...list, item];
  fresh.add(longer);
  return longer;
}

/** The same as `jupyter_bgstream/core/costs.py`. */
function counted({ usage: before, cost }: Answer, usage: UsageInfo): Changes {
  if (usage.cost === null) {
    // A known figure stays until another arrives.
    const { cost, cost_estimated } = before ?? usage;
    return { usage: cost === null ? usage : { ...usage, cost, cost_estimated } };
  }
  // The cost of this attempt is replaced; the costs of earlier attempts stay.
  const paid = Math.max(0, (cost?.usd ?? 0) - (before?.cost ?? 0));
  return { usage, cost: { usd: paid + usage.cost, estimated: cost?.estimated === true || usage.cost_estimated } };
}

function setAside(answer: Answer): Changes {
  const { attempt, text, reasoning } = answer;
  const earlier = text || reasoning ? [...answer.earlier, { attempt, text, reasoning }] : answer.earlier;
  return { earlier, text: '', reasoning: '', sources: [], tool_calls: [], images: [], usage: null };
}
