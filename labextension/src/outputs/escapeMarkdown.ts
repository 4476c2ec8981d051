/**
 * Escapes Markdown for a notebook file: for every reader, nothing runs or loads, and links lead to the web only.
 *
 * Many parsers read the text of a notebook. Some keep raw HTML (nbconvert's does), and they differ in what is code. A
 * fenced block stays unchanged only if every parser sees code there: nothing before it is open, and it ends as it began.
 * Everything else is escaped so that every reading is harmless (`escapeInline.ts`). Golden cases, shared with
 * `jupyter_bgstream/outputs/escape_markdown.py`: `tests/golden/escape.json`.
 */

import { asCode, Budget, endsAreFar } from './asCode';
import { escapeCode, escapeText, MARKERS, risky } from './escapeInline';

const LINE_ENDS = '\\v\\f\\x1c-\\x1f\\x85\\u2028\\u2029'; // for some parsers
const ODD = new RegExp(`[${LINE_ENDS}]`, 'g');
const FENCE = /^( *)(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/;
const PERHAPS_FENCE = new RegExp(`^${MARKERS}(\`{3,}|~{3,})`);
const ITEM = /^ *(?:[-*+]|[0-9]{1,9}[.)]) {1,4}(?=[^ ])/;
const DEFINITION = /^ {0,3}:[ \t]/m;
const NOT_INFO = /[^A-Za-z0-9_+#.:/ ,=()'-]/g;
/** Lab writes the words after a fence into an attribute unescaped. */
const IN_ATTRIBUTES: Readonly<Record<string, string>> = {
  '"': '\u201d',
  "'": '\u2019',
  '&': '\uff06',
  $: '\uff04',
  '\\': '\uff3c'
};
const DRAWN = /^ *mermaid/i;
const MATHS = /\$\$|\\\\\[|\\begin\{([^{}\n]*)\}|\\begin/g;
const MATHS_IN_LAB = /\$|\\begin|\\\\[([]/; // in code as well; it ends at a blank line
const BRACKETS = /(?<!\\)\\([()[\]])/g; // behind one backslash; two are a new line in maths
const ODD_DOLLARS = /\\\$|\${3}/;
const INTERRUPTS = /^[ \t]*(?:[#>*+|=~`:-]|[0-9]{1,9}[.)]|_{3})/m;

interface Block {
  /** The number of the line after it. */
  end: number;
  lines: readonly string[];
  /** A blank line must be before it. */
  apart: boolean;
  /** And one after it. */
  ends: boolean;
}

/** Return Markdown in which only certain code keeps its markup, and nothing takes long to draw. */
export function escapeHtml(markdown: string): string {
  const text = markdown.replace(/\r\n?/g, '\n').replace(ODD, ' ').replaceAll('\0', '\ufffd');
  const written = new Writer(text.split('\n')).write();
  return endsAreFar(written) ? asCode(text).join('\n\n') : written;
}

/** Writes an answer part by part: a paragraph, or possible code. */
class Writer {
  constructor(private readonly _lines: readonly string[]) {}

  write(): string {
    let afterText = false;
    while (this._at < this._lines.length) {
      const line = this._lines[this._at] ?? '';
      if (PERHAPS_FENCE.test(line)) {
        this._fence(afterText);
      } else if (isText(line)) {
        this._paragraph();
      } else {
        this._out.push(line);
        this._at++;
      }
      afterText = isText(line);
    }
    return this._out.join('\n');
  }

  private _paragraph(): void {
    const start = this._at;
    for (; isText(this._lines[this._at] ?? ''); this._at++) {
      this._items.follow(this._lines[this._at] ?? '');
    }
    const written = escapeText(this._lines.slice(start, this._at).join('\n'));
    if (this._budget.affords(written, false)) {
      this._certain &&= mathsIsClosed(written);
      this._out.push(written);
    } else {
      this._asCode(start);
    }
  }

  private _fence(afterText: boolean): void {
    const start = this._at;
    const before = afterText ? (this._out.at(-1) ?? '') : '';
    const code = this._certain ? fenced(this._lines, start, this._items, before) : null;
    const { end, lines, apart, ends } = code ?? doubtful(this._lines, start);
    this._at = end;
    const [first = '', ...rest] = lines;
    const atMargin = code !== null && !first.startsWith(' ');
    if (this._budget.affords(lines.join('\n'), atMargin)) {
      this._certain = code !== null;
      this._out.push((apart ? '\n' : '') + lines.join('\n') + (ends ? '\n' : ''));
      return;
    }
    // Highlighting is the largest cost.
    const plain = [first.replace(FENCE, '$1$2text $3'), ...rest];
    if (atMargin && this._budget.affords(plain.join('\n'), true)) {
      this._out.push((apart ? '\n' : '') + plain.join('\n') + (ends ? '\n' : ''));
    } else {
      this._asCode(start, atMargin);
    }
  }

  /** Write these lines as code, and all further lines if the answer has reached its limit of cost. */
  private _asCode(start: number, isFence = false): void {
    if (this._budget.isSpent) {
      this._at = this._lines.length;
    }
    const inside = isFence && !this._budget.isSpent;
    const end = this._at - (inside && isClosing(this._lines[this._at - 1] ?? '') ? 1 : 0);
    const blocks = asCode(this._lines.slice(start + (inside ? 1 : 0), end).join('\n'));
    blocks.forEach(block => this._budget.affords(block, true));
    // Without a blank line some parsers include it in the text before it.
    const apart = start > 0 && /[^ \t]/.test(this._lines[start - 1] ?? '');
    const code = blocks.join('\n\n');
    const ends = MATHS_IN_LAB.test(code) && isThere(this._lines, this._at);
    this._out.push((apart ? '\n' : '') + code + (ends ? '\n' : ''));
    this._items = new Items();
  }

  private _at = 0;
  private readonly _out: string[] = [];
  private _items = new Items();
  private readonly _budget = new Budget();
  /** Return whether nothing is open that could contain the text that follows. */
  private _certain = true;
}

function isClosing(line: string): boolean {
  return /^(?:`{3,}|~{3,}) *$/.test(line);
}

function isText(line: string): boolean {
  return /[^ \t]/.test(line) && !PERHAPS_FENCE.test(line);
}

/** Open items of lists: the column in which the text of each begins. */
class Items {
  private readonly columns: number[] = [];
  private last = 0; // the indent of the last line of text

  /** Take note of a line of text. */
  follow(line: string): void {
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    if (line.charAt(indent) === '\t') {
      this.columns.length = 0; // the width is not known
      return;
    }
    const inside = this.leave(indent);
    const item = ITEM.exec(line);
    if (item !== null && inside <= 3) {
      this.columns.push(item[0].length);
    }
    this.last = indent;
  }

  /** Return whether a fence is certain to begin code here, in an item or in none, if a blank line is before it. */
  hold(indent: number): boolean {
    const inside = this.leave(indent);
    const column = this.columns.at(-1);
    // After an indented block some parsers do not see it.
    return column === undefined ? indent === 0 : inside <= 3 && this.last - column < 4;
  }

  private leave(indent: number): number {
    while (indent < (this.columns.at(-1) ?? 0)) {
      this.columns.pop();
    }
    return indent - (this.columns.at(-1) ?? 0);
  }
}

/** Return a block that every parser sees as code, unchanged; null if this is not certain. */
function fenced(lines: readonly string[], at: number, items: Items, before: string): Block | null {
  const [, indent = '', fence = '', words = ''] = FENCE.exec(lines[at] ?? '') ?? [];
  if (fence === '' || !items.hold(indent.length)) {
    return null;
  }
  const end = fenceEnd(lines, at, indent, fence);
  if (end === null) {
    return null;
  }
  const info = undrawn(words).replace(NOT_INFO, '');
  const code = lines.slice(at + 1, end);
  const text = [...code, ...lines.slice(end, end + 1)].join('\n');
  // Without a blank line Lab may see maths that takes its beginning or its end, and some parsers a part of that text.
  const maths = MATHS_IN_LAB.test(`${before}\n${text}`);
  const apart = before !== '' && (maths || risky(text) || DEFINITION.test(text));
  return { end, lines: [`${indent}${fence}${info}`, ...code], apart, ends: maths && isThere(lines, end) };
}

function isThere(lines: readonly string[], at: number): boolean {
  return /[^ \t]/.test(lines[at] ?? '');
}

/** Return the number of the line after a fenced block; null if parsers may differ in its end. */
function fenceEnd(lines: readonly string[], at: number, indent: string, fence: string): number | null {
  for (let number = at + 1; number < lines.length; number++) {
    const line = lines[number] ?? '';
    const text = line.replace(/^[ \t]+/, '');
    if (text.startsWith(fence)) {
      return line.startsWith(indent) && /^(?:`+|~+) *$/.test(line.slice(indent.length)) ? number + 1 : null;
    }
    if (text !== '' && !line.startsWith(indent)) {
      return null; // its item may have ended, and the fence with it
    }
  }
  return indent === '' ? lines.length : null;
}

/** What may be code, or else text, up to where it seems to end. */
function doubtful(lines: readonly string[], at: number): Block {
  const first = lines[at] ?? '';
  const fence = PERHAPS_FENCE.exec(first)?.[1] ?? '';
  let end = at + 1;
  if (count(first, fence) === 1) {
    // Else the code begins and ends in that line.
    while (end < lines.length && !(lines[end] ?? '').replace(/^[ \t>]+/, '').startsWith(fence)) {
      end++;
    }
    end = Math.min(end + 1, lines.length);
  }
  const code = lines.slice(at, end).map(line => {
    const mark = PERHAPS_FENCE.exec(line)?.[0].length ?? 0;
    const info = undrawn(line.slice(mark)).replace(/["'&$\\]/g, each => IN_ATTRIBUTES[each] ?? '');
    return mark > 0 ? line.slice(0, mark) + info : line;
  });
  return { end, lines: escapeCode(code.join('\n')).split('\n'), apart: false, ends: false };
}

/** The words after a fence, with which no diagram is drawn: nbconvert makes it raw HTML, and it may load. */
function undrawn(info: string): string {
  return DRAWN.test(info.replace(NOT_INFO, '')) ? `text ${info.replace(/^ +/, '')}` : info;
}

/** Return whether no parser can see maths that continues after this text, however it sees maths and blocks. */
function mathsIsClosed(text: string): boolean {
  if (text.includes('$$') && ODD_DOLLARS.test(text)) {
    return false;
  }
  // What a line of it interrupts may end before it does.
  const interrupted = INTERRUPTS.test(text);
  for (let at = 0; ;) {
    MATHS.lastIndex = at;
    const opening = MATHS.exec(text);
    if (opening === null) {
      break;
    }
    const closing = closingOf(opening);
    const end = closing === '' ? -1 : text.indexOf(closing, opening.index + opening[0].length);
    if (end < 0 || (interrupted && opening.index > 0 && text.slice(opening.index, end).includes('\n'))) {
      return false;
    }
    at = end + closing.length;
  }
  return count(text, '$$') % 2 === 0 && bracketsPair(text);
}

function closingOf([mark, name]: RegExpExecArray): string {
  if (name !== undefined) {
    return `\\end{${name}}`;
  }
  return mark === '$$' ? mark : mark === '\\\\[' ? '\\\\]' : '';
}

/** Return whether each bracket that begins maths somewhere has its end. */
function bracketsPair(text: string): boolean {
  const found = Array.from(text.matchAll(BRACKETS), each => each[1]).join('');
  return count(found, '(') === count(found, ')') && count(found, '[') === count(found, ']');
}

function count(text: string, what: string): number {
  return text.split(what).length - 1;
}
