/**
 * Writes parts of an answer that cost too much to draw as code, which every reader draws fast.
 *
 * Lab's table of contents and readers without this extension parse the whole saved text each time they open it. Golden
 * cases, shared with `jupyter_bgstream/outputs/as_code.py`: `tests/golden/costly.json`.
 */

import { ANSWER_LIMIT, BLOCK_LIMIT, costOfText } from '../render/renderCost';
import { escapeCode } from './escapeInline';

const LINES = /[^\n]{200}(?=[^\n])/gu; // some readers search backticks line by line, repeatedly
const LONGEST = 50_000; // characters of one block
const RUNS = /([`~])\1(?=\1)/g;
/** An opening fence that cannot end code of an earlier fence: its info string prevents that. */
const OPENING = '```text\n';
const CLOSING = '\n```';
/** Limit of characters that Lab reads repeatedly, in one task, for fences without an end. */
const READ_AGAIN = 20_000_000;

/** Lab's table of contents has an element for each heading. */
const HEADING = /^ {0,3}#{1,6}(?:[ \t]|$)|(?<=\n) {0,3}(?:=+|-+)[ \t]*$/gm;
const HEADING_UNITS = 400;

/** The cost of the parts of one answer. */
export class Budget {
  /** Whether the answer has reached its limit: the rest is to be code. */
  get isSpent(): boolean {
    return this._spent > ANSWER_LIMIT;
  }

  /** Return whether a part is saved as it is, and count it then. `fence`: every parser sees code. */
  affords(part: string, fence: boolean): boolean {
    const ours = isCode(part);
    const code = fence || ours;
    const cost = costOfText(part, code);
    if (ours || cost <= BLOCK_LIMIT) {
      this._spent += cost + (code ? 0 : HEADING_UNITS * (part.match(HEADING)?.length ?? 0));
    }
    return ours || (cost <= BLOCK_LIMIT && !this.isSpent);
  }

  private _spent = 0;
}

/** Return a part as blocks of code; they may stand anywhere. */
export function asCode(part: string): string[] {
  const text = part.replace(/\n+$/, '').replace(LINES, '$&\n').replace(RUNS, '$1$1 ');
  const blocks: string[] = [];
  let block: string[] = [];
  let length = 0;
  for (const line of escapeCode(text).split('\n')) {
    if (length + line.length > LONGEST) {
      blocks.push(block.join('\n'));
      block = [];
      length = 0;
    }
    block.push(line);
    length += line.length + 1;
  }
  return [...blocks, block.join('\n')].map(each => OPENING + each + CLOSING);
}

/** Return whether a part was written by `asCode`, or might have been. */
function isCode(part: string): boolean {
  const end = part.length - CLOSING.length;
  return (
    part.startsWith(OPENING) &&
    part.endsWith(CLOSING) &&
    !/`{3}|~{3}/.test(part.slice(OPENING.length, end)) &&
    costOfText(part, true) <= BLOCK_LIMIT
  );
}

/** Return whether fences without an end are so many that Lab, which looks for each end, takes long. */
export function endsAreFar(markdown: string): boolean {
  let again = 0;
  let ticks = 0; // the longest line of nothing but backticks
  let tildes = Infinity; // the shortest of tildes
  let after = 0;
  for (const line of markdown.split('\n').reverse()) {
    const [, mark = '', words = ''] = /^(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/.exec(line) ?? [];
    const ends = mark.startsWith('`') ? mark.length <= ticks : mark.length >= tildes;
    again += mark === '' || ends ? 0 : after * (mark.startsWith('~') ? mark.length : 1);
    if (mark !== '' && words === '') {
      ticks = mark.startsWith('`') ? Math.max(ticks, mark.length) : ticks;
      tildes = mark.startsWith('~') ? Math.min(tildes, mark.length) : tildes;
    }
    after += line.length + 1;
  }
  return again > READ_AGAIN;
}
