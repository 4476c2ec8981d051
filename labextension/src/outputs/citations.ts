/**
 * Citations of an answer as text below it in a notebook file. The same as `jupyter_bgstream/outputs/citations.py`; both
 * run the cases in `tests/golden/bundle.json`.
 */

import type { CitationInfo } from '../wire/types';

const LONGEST = 200; // characters of a title

const WEB = /^https?:\/\/[^/]/i;
// What Python calls white space; JavaScript's \s is another.
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const SPACES = new RegExp(`[${SPACE}\\x00-\\x1f\\x7f]+`, 'g');
const MARKUP = /[!#$&()*+<>@[\\\]^_`{|}~]/g;
const FIRST = /^["'%,./0-9:;=?-]/; // might begin a list or a line
const UNSAFE = new RegExp(`[${SPACE}\\x00-\\x20\\x7f"$<>[\\\\\\]^\`{|}]`, 'g');

/** A numbered list of links; empty without sources. */
export function sourcesMarkdown(sources: readonly CitationInfo[]): string {
  return listed(sources, 'Sources:\n\n', link);
}

/** A numbered list; empty without sources. */
export function sourcesPlain(sources: readonly CitationInfo[]): string {
  return listed(sources, 'Sources:\n', plain);
}

function listed(sources: readonly CitationInfo[], heading: string, item: (source: CitationInfo) => string): string {
  return sources.length === 0 ? '' : heading + sources.map((each, i) => `${i + 1}. ${item(each)}`).join('\n');
}

/** Return untrusted text on one line, bounded in length and without control characters. */
export function oneLine(text: string): string {
  // Cut before it is cleaned: it may be megabytes. By whole characters, as Python counts them.
  const cut = Array.from(begun(text).slice(0, 2 * (LONGEST + 1)))
    .slice(0, LONGEST + 1)
    .join('');
  const words = Array.from(trimmed(cut.replace(SPACES, ' ')));
  return words.length <= LONGEST ? words.join('') : `${trimmed(words.slice(0, LONGEST - 1).join(''))}…`;
}

/** Return a line of untrusted text as Markdown that shows it literally, for use within a line. */
export function inlineMarkdown(line: string): string {
  return line.replace(MARKUP, entity);
}

/** The same at the beginning of a line. */
export function wordsMarkdown(line: string): string {
  return inlineMarkdown(line).replace(FIRST, entity);
}

/** Return a note about an answer, which may have untrusted text, as a Markdown paragraph. */
export function noteMarkdown(note: string): string {
  return `*${inlineMarkdown(trimmed(note.replace(SPACES, ' ')))}*`;
}

function link(source: CitationInfo): string {
  const title = titleOf(source);
  if (!WEB.test(source.url)) {
    return wordsMarkdown(title);
  }
  const address = source.url.replace(UNSAFE, percent).replaceAll('&', '&amp;');
  return `[${inlineMarkdown(title)}](<${address}>)`;
}

function plain(source: CitationInfo): string {
  const address = trimmed(source.url.replace(SPACES, ' '));
  const title = titleOf(source);
  return begun(source.title) !== '' && address !== '' ? `${title} (${address})` : title || address;
}

function titleOf({ url, title }: CitationInfo): string {
  return oneLine(begun(title) === '' ? url : title);
}

function entity(found: string): string {
  return `&#${found.charCodeAt(0)};`;
}

function percent(found: string): string {
  return [...new TextEncoder().encode(found)]
    .map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
}

const START = new RegExp(`^[${SPACE}]+`);
const EDGES = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');

/** Without white space before it. */
function begun(text: string): string {
  return text.replace(START, '');
}

/** Of a short text, or one with single spaces: looking for the end takes quadratic time. */
function trimmed(text: string): string {
  return text.replace(EDGES, '');
}
