/**
 * Estimates the cost of drawing a block of Markdown in advance, in time linear in its length.
 *
 * Parsers of Markdown are not linear, and a short text can create very many elements. A block above the limit is shown
 * as plain text. A unit is the time of a small element, some 25 µs. The weights were measured in Chromium with
 * JupyterLab 4.6; `tests/browser/test_costly_answers.py` draws blocks just below the limit. Where parsers differ in the
 * meaning of a line, the estimate is the higher one.
 */

import { isCheapDiagram } from './diagrams';

/** Limit of units of one block. */
export const BLOCK_LIMIT = 6000;
/** Limit of units of one answer: it is drawn block by block, and this bounds its number of elements. */
export const ANSWER_LIMIT = 40_000;

/** Characters of plain text per unit. */
const TEXT = 25;
/** Characters of code per unit. */
const CODE = 12;
/** Units of a line, which may be an item, a heading or a break. */
const LINE = 2;
/** Units of a table cell. */
const CELL = 0.4;
/** Limit of columns, because the layout of a table is not linear in them. */
const MOST_COLUMNS = 200;
/** Units of a word or sign of code: highlighting creates an element for each. */
const TOKEN = 1;
/** Limit of nested quotes and lists: parsers recurse, and read the text again at each level. */
const DEEPEST = 40;
/** Characters per unit that a parser reads again: for each special character it may read the whole paragraph. */
const READ_AGAIN = 1700;
/** Divisor for letters of other scripts than Latin: their direction, font and line breaks take time per paragraph. */
const SHAPED = 30_000;
/** Divisor for runs of backticks: Lab searches the end of code from each backtick, for each possible length. */
const RUNS = 25_000;
/** Divisor for fences: Lab searches the end of each in the whole rest, for tildes with each possible length. */
const FENCES = 13_000;
/** Divisor for words: at each character parsers check whether an address begins, up to the end of the word. */
const ADDRESS = 25_000;

/** Units of a character with a possible meaning. */
// eslint-disable-next-line @typescript-eslint/no-misused-spread -- ASCII
const SPECIAL = new Map([...'*_~`[]!>&\\$@'].map(each => [each.charCodeAt(0), 1]));
for (const mark of '*_~`') {
  SPECIAL.set(codeOf(mark), 0.5); // half of a pair
}
// A character is a half or a quarter of a formula.
SPECIAL.set(codeOf('|'), 0.25).set(codeOf('<'), 2).set(codeOf('$'), 12);
/** Other beginnings of formulas. */
const FORMULA = /\\[([]|\\begin\b/g;
const FORMULA_UNITS = 24;
/** First code of other scripts; lower codes are Latin letters and signs. */
const FOREIGN = 0x300;

const FENCED = /^[ \t>*+.)\d-]*(?:```|~~~)/m;
/** Code of a language; that of `text` is not highlighted. */
const NAMED = /^ {0,3}(?:`{3,}|~{3,})[ \t]*(?!text(?:[ \t\n]|$))[^ \t\n`~]/;
const ITEM = /^([ \t>]*)(?:[-*+]|(\d{1,9})[.)])(?=[ \t])/;
const HEADING = /^ {0,3}#{1,6}[ \t]/;

/** Return whether a block costs more than the limit. `fence`: the whole block is one fence. */
export function isCostly(text: string, fence: boolean): boolean {
  return costOf(text, fence) > BLOCK_LIMIT;
}

/** The cost of a block in units; at least something above the limit if it is higher than that. */
export function costOf(text: string, fence: boolean): number {
  return isCheapDiagram(text) ? costOfText(text, fence) : Infinity;
}

/** The same where no diagram is drawn. As in `jupyter_bgstream/outputs/render_cost.py`. */
export function costOfText(text: string, fence: boolean): number {
  if (text.length > TEXT * BLOCK_LIMIT) {
    return Infinity;
  }
  if (fence) {
    const tokens = NAMED.test(text) ? TOKEN * tokensOf(text) : 0;
    const shaped = (text.length * foreignOf(text)) / SHAPED;
    return LINE + text.length / CODE + tokens + shaped + costOfRuns(text) + costOfFences(text);
  }
  // Code in a list is highlighted too.
  return costOfProse(text) + costOfFences(text) + (FENCED.test(text) ? TOKEN * tokensOf(text) : 0);
}

/** Fences at the margin, as if none had an end. */
function costOfFences(text: string): number {
  let fences = 0;
  for (const [mark] of text.matchAll(/^(?:```|~{3,})/gm)) {
    fences += mark.startsWith('~') ? mark.length : 1;
  }
  return (fences * text.length) / FENCES;
}

/** How many letters and marks are not of the scripts that are laid out at once. */
function foreignOf(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    count += text.charCodeAt(at) >= FOREIGN ? 1 : 0;
  }
  return count;
}

function tokensOf(text: string): number {
  return text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)?.length ?? 0;
}

/** The runs of backticks in code, of which the fence itself is one. */
function costOfRuns(text: string): number {
  let cost = 0;
  for (const line of text.includes('``') ? text.split('\n') : []) {
    cost += costOfTicks(line);
  }
  return cost;
}

function costOfTicks(line: string): number {
  if (!line.includes('`')) {
    return 0;
  }
  const length = line.length + (line.match(/~/g)?.length ?? 0); // Lab writes `~T` for each `~`
  let runs = 0;
  for (const [run] of line.matchAll(/`+/g)) {
    runs += run.length * run.length;
  }
  return (runs * length) / RUNS;
}

function costOfProse(text: string): number {
  const scan = new Scan(text.includes('@'));
  for (let at = 0; at < text.length && scan.cost <= BLOCK_LIMIT;) {
    const end = text.indexOf('\n', at);
    scan.take(text.slice(at, end < 0 ? text.length : end));
    at = end < 0 ? text.length : end + 1;
  }
  return scan.cost;
}

/** Reads a block line by line. */
class Scan {
  /** @param _addresses says whether there may be one. */
  constructor(private readonly _addresses: boolean) {}

  get cost(): number {
    return this._cost + this._length * (this._marks / READ_AGAIN + this._foreign / SHAPED);
  }

  take(line: string): void {
    const delimiter = /^[|:\s>-]*$/.test(line) && line.includes('-');
    if (line.trim() === '') {
      this._end();
      this._columns = 0;
      this._numbered = this._rows = false;
    } else if (depthOf(line) > DEEPEST) {
      this._cost = Infinity;
    } else if (delimiter && (line.includes('|') || this._before.includes('|'))) {
      this._columns = cellsOf(line);
      this._rows = this._columns === cellsOf(this._before);
      this._cost = this._columns > MOST_COLUMNS ? Infinity : this._cost;
    } else if (this._beginsAnother(line)) {
      this._end();
    }
    this._cost += LINE + CELL * this._columns + line.length / TEXT;
    this._cost += FORMULA_UNITS * (line.match(FORMULA)?.length ?? 0);
    this._length += line.length + 1;
    this._count(line);
    this._before = line;
  }

  /** What a parser reads at once, and again and again, ends here. */
  private _end(): void {
    this._cost = this.cost;
    this._length = this._marks = this._foreign = 0;
  }

  /** Return whether no parser takes this line for more of the paragraph before it. */
  private _beginsAnother(line: string): boolean {
    const [, before, number] = ITEM.exec(line) ?? [];
    if (before === undefined) {
      this._numbered &&= /^[ \t]/.test(line);
      return this._rows || HEADING.test(line);
    }
    const indent = before.replaceAll('\t', '    ').length;
    // Too far in, it is text. A number other than 1 does not interrupt a paragraph either, but continues a list.
    if (indent > this._inner + 3 || (number !== undefined && number !== '1' && !this._numbered && this._length > 0)) {
      return this._rows;
    }
    this._numbered = number !== undefined;
    this._inner = indent + (number?.length ?? 0) + 2;
    return true;
  }

  private _count(line: string): void {
    this._cost += costOfTicks(line);
    let word = 0;
    for (let at = 0; at <= line.length; at++) {
      const code = at < line.length ? line.charCodeAt(at) : 0;
      const special = SPECIAL.get(code) ?? 0;
      this._cost += special;
      this._marks += special > 0 ? 1 : 0;
      this._foreign += code >= FOREIGN ? 1 : 0;
      if (this._addresses && isOfAddress(code)) {
        word++;
      } else if (word > 0) {
        this._cost += (word * word) / ADDRESS;
        word = 0;
      }
    }
  }

  private _cost = 0;
  /** Characters that a parser reads at once. */
  private _length = 0;
  /** Special characters among them. */
  private _marks = 0;
  /** Letters of other scripts among them. */
  private _foreign = 0;
  /** Columns of the table; 0 outside of tables. */
  private _columns = 0;
  /** Whether this is certainly a table, of which a row is read at once. */
  private _rows = false;
  /** Whether this is in a numbered list. */
  private _numbered = false;
  /** Indent of the text of the last item. */
  private _inner = 0;
  private _before = '';
}

function codeOf(character: string): number {
  return character.charCodeAt(0);
}

/** Return how many quotes and lists begin in a line. */
function depthOf(line: string): number {
  const [lead = ''] = /^(?:[ \t]|>|[-*+](?=[ \t>])|\d{1,9}[.)](?=[ \t]))*/.exec(line) ?? [];
  return lead.match(/[>*+-]|\d+/g)?.length ?? 0;
}

function cellsOf(line: string): number {
  const inner = line.trim().replace(/^\|/, '').replace(/\|$/, '');
  return inner.split('|').length - (inner.match(/\\\|/g)?.length ?? 0);
}

/** Letters, digits and `+-._`. */
function isOfAddress(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 64 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 43 ||
    code === 45 ||
    code === 46
  );
}
