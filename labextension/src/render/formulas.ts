/**
 * Normalizes dollars in an answer: one notation for formulas, and prices that no renderer takes for formulas.
 *
 * Chat models write formulas as `\(…\)` and `\[…\]`, of which Markdown removes the backslashes, and prices as `$5`, of
 * which two are a formula for MathJax. Here `\(x\)` becomes `$x$` and `\[x\]` becomes `$$x$$`, and a dollar that begins
 * no formula gets a separate element where it could be paired with another. The rule is pandoc's: no space
 * inside the dollars, and no digit after them. Code is untouched. The same as `jupyter_bgstream/outputs/formulas.py`.
 */

/** MathJax looks for formulas in texts that no element divides. */
export const LONE_DOLLAR = '<span>&#36;</span>';

/** Lone dollars of a paragraph: each is an element in the page. */
const MOST = 500;
const WORTH_A_LOOK = /\$|\\[([]/;
const LINES = /[^\n]*\n|[^\n]+/g;
const FENCE = /^(?:[ \t]|[>*+-]|[0-9]{1,9}[.)])*?(`{3,}(?=[^`]*$)|~{3,})/;
const INDENTED = /^(?: {4}|\t)/;
const ITEM = /^[ \t>]*(?:[*+-]|[0-9]{1,9}[.)])[ \t]/;
const TABLE = /^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/m;
const QUOTED = /\n[ \t]*>[> \t]*/;
const RUNS = /`+/g;
/** Of brackets; the next bracket ends the search. */
const INSIDE = String.raw`(?:[^$${'`'}\\<]|<(?!span>)|\\[^()\[\]])+?`;
const IN_TEXT = tokens('');
const IN_TABLE = tokens('|');

/** Return Markdown with formulas in dollars and no other dollars that could open one; idempotent. */
export function withFormulas(markdown: string): string {
  if (!WORTH_A_LOOK.test(markdown)) {
    return markdown;
  }
  const out: string[] = [];
  let paragraph = '';
  let fence = '';
  let afterBlank = true;
  let inCode = false;
  let inList = false;
  for (const line of markdown.match(LINES) ?? []) {
    const bare = line.replace(/[\r\n]+$/, '');
    const opening = fence === '' ? FENCE.exec(bare) : null;
    const isBlank = /^[ \t]*$/.test(bare);
    inCode = !inList && (afterBlank || inCode) && !isBlank && INDENTED.test(bare);
    if (fence === '' && opening === null && !isBlank && !inCode) {
      paragraph += line;
      inList ||= ITEM.test(bare);
    } else {
      out.push(written(paragraph), line);
      paragraph = '';
      if (opening !== null) {
        fence = opening[1] ?? '';
      } else if (fence !== '' && isClosing(bare, fence)) {
        fence = '';
      }
    }
    afterBlank = isBlank;
  }
  return out.join('') + written(paragraph);
}

function tokens(noCells: string): RegExp {
  return new RegExp(
    [
      '(?<code>`+)',
      String.raw`\$\$(?:(?:[^$\\]|\\.)+?\$\$)?`, // one that is still open is no price
      String.raw`\\\((?<round>${INSIDE})\\\)(?<digit>[0-9]?)`,
      String.raw`\\\[(?<square>${INSIDE})\\\]`,
      String.raw`\$(?![ \t])(?:[^$\n${'`'}\\${noCells}]|\\[^\n])+(?<![ \t])\$(?![0-9])`,
      String.raw`(?<address>(?:(?:https?|ftp)://|www\.|mailto:|\](?:\(|:[ \t]*)<?#)[^\x00-\x20|]*)`,
      String.raw`(?<lone>\\?\$)`,
      String.raw`\\.`
    ].join('|'),
    'gis'
  );
}

function written(paragraph: string): string {
  if (!WORTH_A_LOOK.test(paragraph)) {
    return paragraph;
  }
  const expression = paragraph.includes('|') && TABLE.test(paragraph) ? IN_TABLE : IN_TEXT;
  const ends = codeEnds(paragraph);
  const out: string[] = [];
  const lone: number[] = []; // where in `out`
  let dollars = 0;
  let at = 0;
  expression.lastIndex = 0;
  for (let token = expression.exec(paragraph); token !== null; token = expression.exec(paragraph)) {
    const groups: Readonly<Record<string, string | undefined>> = token.groups ?? {};
    out.push(paragraph.slice(at, token.index));
    at = token.index + token[0].length;
    if (groups.code !== undefined) {
      at = ends.get(token.index) ?? at;
      out.push(paragraph.slice(token.index, at));
      expression.lastIndex = at;
      continue;
    }
    const text = writtenToken(groups) || token[0];
    if (groups.lone !== undefined) {
      lone.push(out.length);
    }
    dollars += text.split('$').length - 1;
    out.push(text);
  }
  if (dollars > 1 && lone.length <= MOST) {
    for (const place of lone) {
      out[place] = LONE_DOLLAR;
    }
  }
  return out.join('') + paragraph.slice(at);
}

/** How a token is written, if otherwise than it is. */
function writtenToken({ round, square, digit, address }: Readonly<Record<string, string | undefined>>): string {
  if (round !== undefined) {
    const formula = onOneLine(round);
    return formula && `$${formula}$${digit ? `&#${digit.charCodeAt(0)};` : ''}`;
  }
  if (square !== undefined) {
    const formula = QUOTED.test(square) ? ` ${onOneLine(square)} ` : square;
    return formula.trim() && `$$${formula}$$`;
  }
  return address?.replaceAll('$', '%24') ?? '';
}

function onOneLine(inside: string): string {
  return inside.replace(new RegExp(QUOTED, 'g'), '\n').trim().split(/\s+/).join(' ');
}

function isClosing(line: string, fence: string): boolean {
  return line.includes(fence) && line.replaceAll(fence.charAt(0), '').replace(/[ \t>]+/g, '') === '';
}

/** Where the code ends that begins with a run of backticks, by the run's place. */
function codeEnds(paragraph: string): Map<number, number> {
  const ends = new Map<number, number>();
  const nextEnd = new Map<number, number>();
  for (const run of [...paragraph.matchAll(RUNS)].reverse()) {
    const end = nextEnd.get(run[0].length);
    if (end !== undefined) {
      ends.set(run.index, end);
    }
    nextEnd.set(run[0].length, run.index + run[0].length);
  }
  return ends;
}
