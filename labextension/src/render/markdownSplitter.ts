/**
 * Splits growing Markdown into finished blocks and an unfinished tail.
 *
 * A finished block is rendered once; only the tail is rendered again. A block ends before a line that no Markdown parser
 * joins to the text before it: after a blank line, at column 0, outside fences, `$$` and lists; and around a fence.
 * `closed` blocks and `tail` joined are always the text, independent of the pieces in which it arrived.
 */

export interface Block {
  readonly text: string;
  /** The whole block is one fence. */
  readonly fence: boolean;
}

/** The start of a line that determines its kind: indentation, marker, first word. */
const ENOUGH = 16;
/** Characters after which a `$$` that was not closed counts as text. */
const LONGEST_MATHS = 10_000;

// For Markdown a no-break space is not a blank; trim() removes it.
const BLANK = /^[ \t\r]*\n?$/;
const LIST_ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|\r?\n|$)/;
const FENCE = /^([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}(?=[^`]*$)|~{3,})/;
const CLOSING = /^[ \t]*(`+|~+)[ \t\r\n]*$/;
const DEFINITION = /^ {0,3}\[[^\]]+\]:/;
const RAW_HTML = /^ {0,3}<[a-z!?/]/i;

interface Fence {
  mark: string;
  /** Whether the fence is outside of lists, and so a separate block. */
  own: boolean;
}

export class Blocks {
  text = '';
  /** Whether the parts may look different from the whole: references, raw HTML, a fence that leaves its list. */
  needsWhole = false;
  /** The finished blocks, in order. */
  readonly closed: Block[] = [];

  /** The text after the finished blocks. */
  get tail(): string {
    return this.text.slice(this._start);
  }

  /** Whether the tail is a fence that is still open. */
  get inFence(): boolean {
    return this._fence?.own === true;
  }

  /** Take the text as it is now; it must begin with the text of the last call. */
  feed(text: string): void {
    this.text = text;
    for (;;) {
      const end = text.indexOf('\n', Math.max(this._line, this._searched));
      if (end < 0) {
        this._searched = text.length;
        if (text.length - this._line >= ENOUGH) {
          this._begin(text.slice(this._line));
        }
        return;
      }
      this._take(text.slice(this._line, end + 1), end + 1);
      this._line = end + 1;
    }
  }

  /** End the text: its last line is complete, even without a line end. */
  finish(): void {
    if (this._line < this.text.length) {
      this._take(this.text.slice(this._line), this.text.length);
      this._line = this.text.length;
    }
    this._cut(this.text.length, this.inFence);
  }

  /** Cut before this line, whose beginning is known, if it is a boundary. */
  private _begin(line: string): void {
    if (this._begun === this._line || this._fence !== null || BLANK.test(line)) {
      return;
    }
    this._begun = this._line;
    const item = LIST_ITEM.test(line);
    if (this._blank && !this._inMaths() && /^[^ \t]/.test(line) && !(item && this._list)) {
      this._cut(this._line, false);
    }
    this._empty = this._blank = false;
    this._list ||= item;
  }

  private _take(line: string, end: number): void {
    if (this._fence !== null) {
      this._inside(line, end, this._fence);
      return;
    }
    if (BLANK.test(line)) {
      this._blank = !this._empty; // blank lines at the beginning belong to the text after them
      return;
    }
    this._begin(line);
    const fence = FENCE.exec(line.trimEnd());
    if (fence !== null && this._open(fence[1] ?? '', fence[2] ?? '')) {
      return;
    }
    this.needsWhole ||= DEFINITION.test(line) || RAW_HTML.test(line);
    this._count(line);
  }

  /** Begin a fence; return false if the line is indented too far to be one. */
  private _open(before: string, mark: string): boolean {
    const own = before === '' || (!this._list && /^ {1,3}$/.test(before));
    if (!own && !this._list) {
      return false; // indented code, or text
    }
    if (own) {
      this._cut(this._line, false);
    }
    this._fence = { mark, own };
    return true;
  }

  private _inside(line: string, end: number, { mark, own }: Fence): void {
    const closing = CLOSING.exec(line)?.[1] ?? '';
    const closes = closing.startsWith(mark);
    // At column 0 the list has ended and its fence with it, for some parsers; models intend that it continues.
    this.needsWhole ||= !own && /^[^ \t\r\n]/.test(line);
    if (closes && !(own && /^(?: {4}|\t)/.test(line))) {
      this._fence = null;
      if (own) {
        this._cut(end, true);
      }
    }
  }

  private _count(line: string): void {
    const marks = line.split('$$').length - 1;
    if (marks % 2 === 1) {
      this._maths = this._inMaths() ? null : this._line;
    }
  }

  private _inMaths(): boolean {
    return this._maths !== null && this._line - this._maths < LONGEST_MATHS;
  }

  private _cut(at: number, fence: boolean): void {
    if (at > this._start) {
      this.closed.push({ text: this.text.slice(this._start, at), fence });
    }
    this._start = at;
    this._empty = true;
    this._blank = this._list = false;
    this._maths = null;
  }

  /** Start of the tail. */
  private _start = 0;
  /** Start of the first incomplete line. */
  private _line = 0;
  /** Position up to which its end was searched. */
  private _searched = 0;
  /** The last line that was checked for a boundary. */
  private _begun = -1;
  /** Whether the tail has only blank lines so far. */
  private _empty = true;
  /** Whether the previous line was blank. */
  private _blank = false;
  /** Whether the tail contains a list. */
  private _list = false;
  private _fence: Fence | null = null;
  /** Position of an open `$$`. */
  private _maths: number | null = null;
}
