/**
 * Markdown as it goes into a notebook file: raw HTML outside code is escaped, since nbconvert keeps it raw.
 *
 * Parsers differ in where code ends, so code is left alone only where every reading of the text agrees that it is
 * code. Elsewhere `<` is escaped: at worst `&lt;` is seen in a code block of the saved file. Golden cases, shared with
 * `jupyter_bgstream/client/markdown.py`: `tests/golden/escape.json`.
 */

const LINE = /[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+/g;
const BLANK = /^[ \t\r\n]*$/;
const FENCE = /^( *)(`{3,}|~{3,})[^`|\r\n]*$/;
const PERHAPS_FENCE = /^[\s>*+.)\d-]*(?:```|~~~)/;
const TAG = /(?<!\\)(\\*)<(?=[a-z/!?])(?!https?:\/\/[^\s<>`]*>)/gi;
/** What some parsers begin maths at, and then see no code in it. */
const MATHS = /\$|\\[([]|\\begin/;

/** An address that may go on over a backtick. */
const ADDRESS = /(?:\]\(|:\/\/)[^\s`]*`/;
/** What may take a fence that follows for its own text. */
const DEFINITION = /^ {0,3}\[[^\]]+\]:/;

type Span = readonly [start: number, end: number];

/** Return the Markdown with raw HTML outside code escaped. */
export function escapeHtml(markdown: string): string {
  const lines = markdown.match(LINE) ?? [];
  const out: string[] = [];
  let paragraph: string[] = [];
  const maths = { open: false }; // perhaps never closed, and then code is part of it
  const flush = (): void => {
    out.push(...(maths.open ? paragraph.map(withoutTags) : escapeParagraph(paragraph)));
    maths.open ||= mayStayOpen(paragraph);
    paragraph = [];
  };
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? '';
    let end = at + 1;
    if (BLANK.test(line)) {
      flush();
      out.push(line);
    } else if (PERHAPS_FENCE.test(line)) {
      const afterText = paragraph.length > 0;
      const doubtful = paragraph.some(each => DEFINITION.test(each));
      flush();
      const found = doubtful || maths.open ? null : fenceEnd(lines, at, afterText);
      if (found === null) {
        out.push(...lines.slice(at).map(withoutTags));
        return out.join('');
      }
      end = found;
      out.push(...lines.slice(at, end));
    } else {
      paragraph.push(line);
    }
    at = end;
  }
  flush();
  return out.join('');
}

/** The line after a fenced block; null where another parser may see another end, or no fence. */
function fenceEnd(lines: string[], at: number, afterText: boolean): number | null {
  const opening = FENCE.exec(withoutEnd(lines[at] ?? ''));
  const indent = opening?.[1]?.length ?? 0;
  const fence = opening?.[2];
  if (fence === undefined || (indent > 3 && afterText)) {
    return null; // no fence, or perhaps text that goes on
  }
  for (let number = at + 1; number < lines.length; number++) {
    const line = withoutEnd(lines[number] ?? '');
    const text = line.replace(/^[ \t]+/, '');
    const before = line.slice(0, line.length - text.length);
    if (text.startsWith(fence)) {
      const clean = before === ' '.repeat(indent) && /^(`+|~+) *$/.test(text);
      return clean ? number + 1 : null;
    }
    if (text !== '' && before.length < indent) {
      return null; // its list may have ended, and the fence with it
    }
  }
  return indent > 0 ? null : lines.length;
}

function escapeParagraph(lines: string[]): string[] {
  // If every line's backticks pair within the line, then so they do however the lines form blocks.
  const spans = lines.map(codeSpans);
  const certain = lines.every((line, i) => {
    const found = spans[i] ?? null;
    return found !== null && !MATHS.test(outside(line, found)) && !ADDRESS.test(line);
  });
  return lines.map((line, i) => (certain ? escapeAround(line, spans[i] ?? []) : withoutTags(line)));
}

function escapeAround(line: string, spans: readonly Span[]): string {
  let out = '';
  let at = 0;
  for (const [start, end] of spans) {
    out += withoutTags(line.slice(at, start)) + line.slice(start, end);
    at = end;
  }
  return out + withoutTags(line.slice(at));
}

/** Where code begins and ends in a line; null if that depends on other lines, or on whether it is a table's row. */
function codeSpans(line: string): Span[] | null {
  if (line.includes('\\`')) {
    return null;
  }
  const runs = [...line.matchAll(/`+/g)];
  const spans: Span[] = [];
  for (let at = 0; at < runs.length; at++) {
    const opening = runs[at];
    do {
      at++;
    } while (at < runs.length && runs[at]?.[0] !== opening?.[0]);
    const closing = runs[at];
    if (opening === undefined || closing === undefined) {
      return null;
    }
    const span = [opening.index, closing.index + closing[0].length] as const;
    if (line.slice(...span).includes('|')) {
      return null;
    }
    spans.push(span);
  }
  return spans;
}

/** The line without its code. */
function outside(line: string, spans: readonly Span[]): string {
  return [0, ...spans.flat()]
    .flatMap((from, i, edges) => (i % 2 === 0 ? [line.slice(from, edges[i + 1])] : []))
    .join('');
}

function mayStayOpen(paragraph: string[]): boolean {
  const text = paragraph.join('');
  return (
    count(text, /\$\$/g) % 2 === 1 ||
    count(text, /\\\(/g) !== count(text, /\\\)/g) ||
    count(text, /\\\[/g) !== count(text, /\\\]/g) ||
    count(text, /\\begin/g) !== count(text, /\\end/g)
  );
}

function count(text: string, what: RegExp): number {
  return text.match(what)?.length ?? 0;
}

function withoutEnd(line: string): string {
  return line.replace(/[\r\n]+$/, '');
}

function withoutTags(text: string): string {
  // A backslash would escape the `&`; `\\<` and `&lt;` look the same.
  return text.replace(TAG, (_, slashes: string) => `${slashes.slice(slashes.length % 2)}&lt;`);
}
