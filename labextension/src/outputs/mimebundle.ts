/**
 * MIME bundles of jobs and batches in a notebook file. See PROTOCOL.md, "In the notebook file".
 *
 * The same forms as `jupyter_bgstream/outputs/mimebundle.py`, so that a save leaves correct outputs unchanged.
 */

import { withFormulas } from '../render/formulas';
import type { Answer } from '../wire/fold';
import { BATCH_MIME, type BatchBundle, type BatchInfo, type Bundle, BUNDLE_MIME, isId, JOBS_MIME } from '../wire/types';
import { batchSummary } from './batchSummary';
import { inlineMarkdown, noteMarkdown, oneLine, sourcesMarkdown, sourcesPlain, wordsMarkdown } from './citations';
import { endReason } from './endReason';
import { closingFence } from './openCodeBlock';
import { type FileOf, ImageEmbedder, withoutImageMarks } from './images';
import { escapeControls, escapeLine } from './terminalText';

/** An output's data by MIME type. */
export type OutputData = Readonly<Record<string, unknown>>;

/** Known state of a job, or of its newest retry. */
export interface KnownJob {
  id: string;
  cursor: string;
  answer: Answer;
  /** Loaded images. */
  file?: FileOf;
}

/** Return the jobs in an output's data; none if one of them is invalid. */
export function bundlesOf(data: OutputData): readonly Bundle[] {
  const several = fieldsOf(data[JOBS_MIME])?.jobs;
  const all: readonly unknown[] = Array.isArray(several) ? several : [data[BUNDLE_MIME]];
  const bundles = all.length > MOST_JOBS ? [] : all.map(bundleOf);
  return bundles.every(bundle => bundle !== null) ? bundles : [];
}

/** Return the batch in an output's data, or null. */
export function batchOf(data: OutputData): BatchBundle | null {
  const { id, status, title, total, counts, paused } = fieldsOf(data[BATCH_MIME]) ?? {};
  const count = fieldsOf(counts);
  const pause = fieldsOf(paused);
  if (!isId(id) || count === null) {
    return null;
  }
  return {
    id,
    status: statusOf(status, BATCH_STATUSES),
    title: wordsOf(title),
    total: countOf(total),
    counts: {
      completed: countOf(count.completed),
      failed: countOf(count.failed),
      cancelled: countOf(count.cancelled),
      interrupted: countOf(count.interrupted)
    },
    ...(pause !== null && {
      paused: { code: wordsOf(pause.code), message: wordsOf(pause.message), at: Number(pause.at) || 0 }
    })
  };
}

// A notebook may come from anyone. Its ids are sent to the server with the reader's cookie, and its text is drawn among
// the reader's own. So each value is checked.

/** Limit of drawn and followed jobs side by side: a file can name any number. */
const MOST_JOBS = 200;
const ENDS = ['completed', 'failed', 'cancelled', 'interrupted'] as const;
const BATCH_STATUSES = ['queued', 'running', ...ENDS] as const;
const STATUSES = [...BATCH_STATUSES, 'waiting'] as const;

function bundleOf(value: unknown): Bundle | null {
  const { id, cursor, status, model } = fieldsOf(value) ?? {};
  return isId(id) ? { id, cursor: wordsOf(cursor), status: statusOf(status, STATUSES), model: wordsOf(model) } : null;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}

function statusOf<T extends string>(value: unknown, known: readonly T[]): T | 'queued' {
  return known.find(each => each === value) ?? 'queued';
}

function wordsOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : 0;
}

/** A text in an output's data. On disk it may be a list of lines, and an empty one is an empty list. */
export function textOf(data: OutputData, mime: string): string {
  const text = data[mime];
  const lines: readonly unknown[] = Array.isArray(text) ? text : [text];
  // A value that is not a string may not be convertible to one.
  return lines.every(line => typeof line === 'string') ? lines.join('') : '';
}

/** Return the saved Markdown of each of the jobs side by side, as far as the texts can be separated. */
export function textsOf(data: OutputData): readonly string[] {
  const headings = bundlesOf(data).map(({ model }) => headingMarkdown(model));
  const markdown = textOf(data, 'text/markdown');
  // Text that cannot be separated is shown complete, at the first job.
  return splitByHeadings(markdown, headings) ?? headings.map((_, i) => (i === 0 ? markdown : ''));
}

/** Return an output's data with the current jobs, or null if nothing changed; `known`: by the id in the data. */
export function updatedOutput(data: OutputData, known: (id: string) => KnownJob | null): OutputData | null {
  const bundles = bundlesOf(data);
  const jobs = bundles.map(({ id }) => {
    const job = known(id);
    return job === null || job.answer.status === 'new' ? null : job;
  });
  if (jobs.every(job => job === null)) {
    return null;
  }
  const keys = bundles.map((bundle, i) => keyOf(jobs[i] ?? null, bundle));
  const updated = JOBS_MIME in data ? sideBySide(data, keys, jobs) : alone(keys, jobs);
  const same =
    updated === null ||
    (textOf(data, 'text/markdown') === updated['text/markdown'] &&
      keys.every((key, i) => key.id === bundles[i]?.id && key.status === bundles[i].status) &&
      keys.every((key, i) => key.cursor === bundles[i]?.cursor));
  return same ? null : { ...data, ...updated };
}

/** Return an output's data with the current batch, or null if nothing changed. */
export function updatedBatchOutput(data: OutputData, batch: BatchInfo): OutputData | null {
  const saved = batchOf(data);
  if (saved === null) {
    return null;
  }
  const { id, status, title, total } = batch;
  const { completed, failed, cancelled, interrupted } = batch.counts;
  const counts = { completed, failed, cancelled, interrupted };
  const paused = batch.paused && { code: batch.paused.code, message: batch.paused.message, at: batch.paused.at };
  const updated: BatchBundle = { id, status, title, total, counts, ...(paused && { paused }) };
  const words = batchSummary(updated);
  const [plain, markdown] = [escapeLine(words), wordsMarkdown(words)];
  const same =
    saved.status === status &&
    saved.total === total &&
    textOf(data, 'text/plain') === plain &&
    textOf(data, 'text/markdown') === markdown;
  return same ? null : { ...data, [BATCH_MIME]: updated, 'text/markdown': markdown, 'text/plain': plain };
}

function keyOf(job: KnownJob | null, saved: Bundle): Bundle {
  const { model } = saved;
  return job === null
    ? saved
    : { id: job.id, cursor: job.cursor, status: job.answer.status as Bundle['status'], model };
}

function alone([key]: readonly Bundle[], [job]: readonly (KnownJob | null)[]): OutputData | null {
  if (key == null || job == null) {
    return null;
  }
  const images = new ImageEmbedder();
  const markdown = images.written(markdownOf(job, images, false));
  return { [BUNDLE_MIME]: key, 'text/markdown': markdown, 'text/plain': plainOf(job) };
}

/** Keep the saved text of unknown jobs; null if it cannot be separated from the other texts. */
function sideBySide(data: OutputData, keys: readonly Bundle[], jobs: readonly (KnownJob | null)[]): OutputData | null {
  const headings = keys.map(({ model }) => headingMarkdown(model));
  const names = keys.map(({ model }) => `${escapeLine(oneLine(model))}:`);
  let markdown: readonly string[] | null = [];
  let plain: readonly string[] | null = [];
  if (jobs.includes(null)) {
    markdown = splitByHeadings(textOf(data, 'text/markdown'), headings);
    plain = splitByHeadings(textOf(data, 'text/plain'), names);
  }
  if (markdown === null || plain === null) {
    return null;
  }
  const last = keys.length - 1;
  const images = new ImageEmbedder();
  const below = jobs.map((job, i) => (job ? markdownOf(job, images, i < last) : images.lifted(markdown[i] ?? '')));
  return {
    [JOBS_MIME]: { jobs: keys },
    'text/markdown': images.written(joined(...below.flatMap((text, i) => [headings[i], text]))),
    'text/plain': joined(...jobs.flatMap((job, i) => [names[i], job ? plainOf(job) : plain[i]]))
  };
}

function headingMarkdown(model: string): string {
  return `#### ${inlineMarkdown(oneLine(model))}`;
}

/** Return the paragraphs below each of these lines; null unless each line occurs once, in this order. */
function splitByHeadings(text: string, headings: readonly string[]): readonly string[] | null {
  const lines = text.split('\n');
  const at = lines.flatMap((line, i) => (headings.includes(line) ? [i] : []));
  if (at.length !== headings.length || at[0] !== 0 || headings.some((heading, i) => lines[at[i] ?? -1] !== heading)) {
    return null;
  }
  // Between two of them there is an empty line after the first and one before the second.
  const end = (i: number): number => (at[i + 1] ?? lines.length + 1) - 1;
  return at.map((line, i) => lines.slice(line + 2, end(i)).join('\n'));
}

/** Return Markdown that is to be escaped together with the text around it, which may have open constructs. */
function markdownOf({ id, answer, file }: KnownJob, images: ImageEmbedder, closed: boolean): string {
  const note = noteOf(answer);
  const text = withoutImageMarks(answer.text);
  const shown = images.markdown(id, answer.images, file ?? (() => null));
  const below = [shown, sourcesMarkdown(answer.sources), note && noteMarkdown(note)];
  const end = closed || below.some(Boolean) ? closingFence(text) : '';
  return joined(withFormulas(text) + end, ...below);
}

function plainOf({ id, answer }: KnownJob): string {
  const note = noteOf(answer);
  return escapeControls(joined(answer.text, sourcesPlain(answer.sources), note && `${note} (job ${id})`));
}

function joined(...paragraphs: (string | undefined)[]): string {
  return paragraphs.filter(Boolean).join('\n\n');
}

/** Return the note below a text: that it is incomplete, or why it ended. */
function noteOf(answer: Answer): string {
  const { status, error } = answer;
  const word = status.charAt(0).toUpperCase() + status.slice(1);
  switch (status) {
    case 'completed':
      return endReason(answer);
    case 'failed':
    case 'interrupted':
      return error === null ? word : `${word}: ${error.message}`;
    case 'cancelled':
      return word;
    default:
      return `${word}…`;
  }
}
