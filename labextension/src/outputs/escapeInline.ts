/**
 * Escapes the text of a paragraph for a notebook file: active markup becomes text.
 *
 * Nothing here depends on where a parser begins and ends code, maths or a link: a sequence that may do something is
 * broken up wherever it stands. How it is broken up depends on what it most likely is, so that it still reads well: in
 * text by an entity, in maths and code by a space, and inline code is written as `<code>` with entities. The same as
 * `jupyter_bgstream/outputs/escape_inline.py`.
 */

import { inlineMarkdown } from './citations';

const WEB = '(?:https?://|mailto:|#)';
/** Without characters that could form a link where a table cuts the address. */
const ADDRESS = '[^\\x00-\\x20<>\\[\\\\\\]`|\\x7f]';
const PART = '[^\\x00-\\x20"<>()\\[\\\\\\]`|\\x7f]';
const TARGET = `(?:${WEB}(?:${PART}|\\(${PART}*\\))*|<https?://${ADDRESS}*>)`;
const TITLE = String.raw`(?:[ \t]+(?:"[^"$\\\n]*"|'[^'$\\\n]*'))?[ \t]*`; // maths in a title would be restored unescaped
/** Markers of items, quotations and tasks: marked 16 reads blocks behind these. */
export const MARKERS = String.raw`(?:[ \t>*+.)0-9:|-]|\[[ xX]\][ \t])*`;
const LABEL = String.raw`\[[^\[\]<>!\\${'`'}\n]+\]:`;

const RISKS = new RegExp(
  [
    // Kept: definitions of links to the web, footnotes, images with their data, code in the form written here.
    String.raw`(?<kept>^ {0,3}${LABEL}[ \t]+(?:<${WEB}${ADDRESS}*>|${WEB}${ADDRESS}*)(?:[ \t]+"[^"$<>!\[\]\\${'`'}\n]*")?[ \t]*$(?!\n[ \t]*["'(])`,
    String.raw`^ {0,3}(?=\[\^)${LABEL}(?=[ \t]+[^ \t\n<]+[ \t]+[^ \t\n"'(])`,
    String.raw`(?<!\\)!\[[^\[\]<>!\\${'`'}|$*_~&\n]*\]\(data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+\)`,
    String.raw`(?<!\\)(?:\\\\)*<span>&#36;</span>|<code>(?:[^!#$&()*+<>@\[\\\]^_${'`'}{|}~\n]|&#[0-9]{1,4};)*</code>)`,
    // Remote images become links.
    String.raw`(?<![\\!])!\[(?<alt>[^\[\]\n]*)\]\((?:<(?<angled>https?://${ADDRESS}+)>|(?<source>https?://(?:(?![()'])${ADDRESS})+))(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'))?[ \t]*\)`,
    // A label that continues in the next line may include everything in it.
    String.raw`^(?<lead>${MARKERS})\[(?=(?:\\.|[^\]\n\\])*\\?$)`,
    String.raw`(?<!\\)(?<slashes>\\*)(?<risk><(?=[a-z/!?])(?!https?://${ADDRESS}*>)|!(?=\[))`,
    String.raw`\](?<after>\((?!${TARGET}${TITLE}\))|:)`
  ].join('|'),
  'gim'
);
const RISKY_CODE = /<(?=[A-Za-z/!?])|!\[|\][(:]|\$\$|\\[([]|\\begin/;
const ADDRESSES = /(?:(?:https?|ftp):\/\/|www\.|mailto:|\](?:\(|:[ \t]*)<?#)[^\0- ]*/gi;
const MATHS_IN_ADDRESS = /[$\\]+/g; // Lab would put the text between them into the link unescaped
const TOKENS = /`+|\$\$|\$|\\{1,2}[([]|\\begin\{|\\./gs;
const MATHS = /\$(?![ \t])[^$\n`]*(?<![ \t])\$(?!\d)/y;
const ENTITIES: Readonly<Record<string, string>> = { '<': '&lt;', '!': '&#33;', '(': '&#40;', ':': '&#58;' };

interface Span {
  start: number;
  end: number;
  /** null: maths. */
  code: string | null;
}

/** Return whether text would have an effect outside of code. */
export function risky(code: string): boolean {
  return RISKY_CODE.test(code);
}

/** Return possible code in which markup with an effect is broken by a space. */
export function escapeCode(code: string): string {
  return replaced(code.replace(ADDRESSES, spacedAddress), spaced);
}

/** A paragraph in which nothing is HTML, loads, or leads elsewhere than to the web. */
export function escapeText(text: string): string {
  const once = escapeOnce(addressed(text));
  // Again, for an address or a bracket that closed a label may have been in code.
  return text.includes('`') ? escapeOnce(addressed(once)) : once;
}

function escapeOnce(text: string): string {
  const spans = [...spansOf(text)];
  const codes = spans.filter(({ code }) => code !== null).values();
  const maths = spans.filter(({ code }) => code === null).values();
  const out: string[] = [];
  let at = 0;
  let code = next(codes);
  let math = next(maths);
  let found = riskAfter(text, 0);
  while (code !== null || found !== null) {
    if (code !== null && (found === null || code.start <= found.index)) {
      out.push(text.slice(at, code.start), asHtml(code.code ?? ''));
      at = code.end;
    } else if (found !== null) {
      while (math !== null && math.end <= found.index) {
        math = next(maths);
      }
      const write = math !== null && math.start <= found.index ? spaced : worded;
      out.push(text.slice(at, found.index), write(found));
      at = found.index + found[0].length;
    }
    while (code !== null && code.start < at) {
      code = next(codes);
    }
    if (found !== null && found.index < at) {
      found = riskAfter(text, at);
    }
  }
  return out.join('') + text.slice(at);
}

/** Text in whose addresses no maths begins, except in code. */
function addressed(text: string): string {
  const spans = text.search(ADDRESSES) < 0 ? [] : [...spansOf(text)];
  let at = 0;
  return text.replace(ADDRESSES, (address, start: number) => {
    while ((spans[at]?.end ?? Infinity) <= start) {
      at++;
    }
    const span = spans[at];
    if (span === undefined || start < span.start) {
      return address.replaceAll('$', '%24').replaceAll('\\', '%5C');
    }
    return span.code === null ? spacedAddress(address) : address;
  });
}

function spacedAddress(address: string): string {
  return address.replace(MATHS_IN_ADDRESS, ' $&');
}

/** Return whether maths may begin in an address in a text. */
function holdsMaths(code: string): boolean {
  return [...code.matchAll(ADDRESSES)].some(([address]) => address.search(MATHS_IN_ADDRESS) >= 0);
}

function next(spans: Iterator<Span>): Span | null {
  const result = spans.next();
  return result.done === true ? null : result.value;
}

function riskAfter(text: string, at: number): RegExpExecArray | null {
  RISKS.lastIndex = at;
  return RISKS.exec(text);
}

function replaced(text: string, write: (found: RegExpExecArray) => string): string {
  // All of them first: writing one may look into it, with the same expression.
  const all = [...text.matchAll(RISKS)];
  let at = 0;
  const out = all.map(found => {
    const piece = text.slice(at, found.index) + write(found);
    at = found.index + found[0].length;
    return piece;
  });
  return out.join('') + text.slice(at);
}

function worded(found: RegExpExecArray): string {
  const { kept, alt, angled, source, lead, after, slashes = '', risk = '' } = groupsOf(found);
  if (kept !== undefined) {
    return kept;
  }
  if (alt !== undefined) {
    const address = angled ?? source ?? '';
    const words = replaced(alt, worded).replace(/^[ \t]+|(?<![ \t])[ \t]+$/g, '');
    const shown = inlineMarkdown(address);
    return words === '' ? `[${shown}](<${address}>)` : `[${words} (${shown})](<${address}>)`;
  }
  if (lead !== undefined) {
    return `${lead}&#91;`;
  }
  // A backslash would escape the `&`; `\\<` and `&lt;` look the same.
  return after === undefined ? slashes.slice(slashes.length % 2) + (ENTITIES[risk] ?? '') : `]${ENTITIES[after] ?? ''}`;
}

function spaced(found: RegExpExecArray): string {
  const { kept, alt, lead, after, slashes = '', risk = '' } = groupsOf(found);
  if (kept !== undefined) {
    return /^[<\\]/.test(kept) ? kept.replaceAll('<', '< ') : kept;
  }
  if (alt !== undefined) {
    return `! [${replaced(alt, spaced)}${replaced(found[0].slice(2 + alt.length), spaced)}`;
  }
  if (lead !== undefined) {
    return `${lead}{}[`; // nothing to TeX
  }
  return after === undefined ? `${slashes}${risk} ` : `] ${after}`;
}

function groupsOf(found: RegExpExecArray): Readonly<Record<string, string | undefined>> {
  return found.groups ?? {};
}

function asHtml(code: string): string {
  const padded = code.startsWith(' ') && code.endsWith(' ') && /[^ ]/.test(code);
  return `<code>${inlineMarkdown(padded ? code.slice(1, -1) : code)}</code>`;
}

/** Where there is most likely maths, or code that would do something if it were none. */
function* spansOf(text: string): Generator<Span> {
  const ends = codeEnds(text);
  const gone = new Set<string>(); // brackets that do not come any more
  let at = 0;
  for (;;) {
    TOKENS.lastIndex = at;
    const token = TOKENS.exec(text);
    if (token === null) {
      return;
    }
    const start = token.index;
    const mark = token[0];
    at = start + mark.length;
    if (mark.startsWith('`')) {
      const end = ends.get(start) ?? at;
      const code = text.slice(at, end - mark.length);
      at = end;
      if (risky(code) || holdsMaths(code)) {
        yield { start, end, code };
      }
    } else if (mark === '$') {
      MATHS.lastIndex = start;
      const length = MATHS.exec(text)?.[0].length ?? 0;
      if (length > 0) {
        at = start + length;
        yield { start, end: at, code: null };
      }
    } else {
      const closing = closingOf(mark);
      const end = closing === '' || gone.has(closing) ? -1 : text.indexOf(closing, at);
      if (end >= 0) {
        at = end + closing.length;
        yield { start, end: at, code: null };
      } else {
        gone.add(closing);
      }
    }
  }
}

function closingOf(mark: string): string {
  if (mark === '$$') {
    return mark;
  }
  if (mark.startsWith('\\begin')) {
    return '\\end{';
  }
  const bracket = { '(': ')', '[': ']' }[mark.slice(-1)];
  return bracket === undefined ? '' : mark.slice(0, -1) + bracket;
}

/** Where the code ends that begins with a run of backticks; both are on one line. */
function codeEnds(text: string): Map<number, number> {
  const ends = new Map<number, number>();
  const nextEnd = new Map<number, number>();
  for (const run of [...text.matchAll(/`+|\n/g)].reverse()) {
    if (run[0] === '\n') {
      nextEnd.clear();
      continue;
    }
    const end = nextEnd.get(run[0].length);
    if (end !== undefined) {
      ends.set(run.index, end);
    }
    nextEnd.set(run[0].length, run.index + run[0].length);
  }
  return ends;
}
