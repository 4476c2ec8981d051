/**
 * Typesets formulas one by one, so that many of them are many short tasks, and one that would take too long stays source
 * text.
 */

import { trans } from '../translation';
import { element } from './dom';
import { TimeSlicer } from './timeSlicer';

/** The part of Lab's typesetter that is used here. Newer versions return a promise. */
interface Typesetter {
  typeset(node: HTMLElement): unknown;
}

/** Characters of one formula; cells of a matrix count more. */
const LONGEST = 1500;
const CELL = 4;
/** So much is typeset in one: for each call all of the text may be laid out again. */
const AT_ONCE = 400;
/** Limit of the search for the end of a formula. */
const REACH = 2 * LONGEST;
/** A macro can make a page of each of its letters, and is known to all formulas that come after it. */
const DEFINES = /\\(?:(?:[egx]?def|let|futurelet|require)(?![a-z])|Declare|provide|(?:re)?new(?!line))/i;

const BEGIN = /\$\$|\$|\\\(|\\\[|\\begin\{([a-z]{1,20}\*?)\}|\\./gi;
const ENDS: Record<string, string> = { $: '$', $$: '$$', '\\(': '\\)', '\\[': '\\]' };

/** Typeset the formulas in an element, which does not change until that is done. */
export async function typeset(host: HTMLElement, typesetter: Typesetter): Promise<void> {
  const texts = textsOf(host);
  // Of a short text every formula is found; of a long one it may be that the typesetter finds more.
  const known = texts.every(text => text.length <= REACH);
  const formulas = texts.flatMap(formulasIn);
  const short = formulas.filter(({ textContent: source }) => costOf(source) <= LONGEST && !DEFINES.test(source));
  if (short.length < formulas.length) {
    const why = trans.__('Some formulas are shown as written: they are too long, or define macros.');
    host.append(element('div', 'why', why));
  } else if (known && formulas.reduce((sum, { textContent }) => sum + costOf(textContent), 0) <= AT_ONCE) {
    await typesetter.typeset(host);
    return;
  }
  const breath = new TimeSlicer();
  for (const formula of short) {
    await typesetter.typeset(formula);
    await breath.pause();
  }
}

function costOf(source: string): number {
  return source.length + CELL * (source.match(/&|\\\\/g)?.length ?? 0);
}

/** Return the texts that may have formulas; code has none. */
function textsOf(host: HTMLElement): Text[] {
  const walker = document.createTreeWalker(host, NodeFilter.SHOW_TEXT);
  const found: Text[] = [];
  while (walker.nextNode() !== null) {
    const node = walker.currentNode as Text;
    if (/\$|\\[([]|\\begin/.test(node.data) && node.parentElement?.closest('pre, code, script, style') === null) {
      found.push(node);
    }
  }
  return found;
}

/** Put each formula of a text into a separate element. */
function formulasIn(node: Text): HTMLElement[] {
  const formulas: HTMLElement[] = [];
  let before = 0; // what of the text is in other nodes already
  for (const [start, end] of placesOf(node.data)) {
    const formula = node.splitText(start - before);
    node = formula.splitText(end - start);
    before = end;
    const span = document.createElement('span');
    formula.replaceWith(span);
    span.append(formula);
    formulas.push(span);
  }
  return formulas;
}

function placesOf(text: string): [start: number, end: number][] {
  const places: [number, number][] = [];
  BEGIN.lastIndex = 0;
  for (let found = BEGIN.exec(text); found !== null; found = BEGIN.exec(text)) {
    const [mark, environment] = found;
    const end = environment === undefined ? ENDS[mark] : `\\end{${environment}}`;
    const at = end === undefined ? null : endOf(text, BEGIN.lastIndex, end);
    if (at !== null) {
      places.push([found.index, at]);
      BEGIN.lastIndex = at;
    }
  }
  return places;
}

/** Where a formula ends that began before this; braces in it are pairs, and what is escaped is no end. */
function endOf(text: string, from: number, end: string): number | null {
  let depth = 0;
  for (let at = from; at < Math.min(text.length, from + REACH); at++) {
    if (depth <= 0 && text.startsWith(end, at)) {
      return at + end.length;
    }
    const character = text[at];
    at += character === '\\' ? 1 : 0;
    depth += character === '{' ? 1 : character === '}' ? -1 : 0;
  }
  // One that is longer is not typeset, and its end begins no other.
  const far = end === '$' ? -1 : text.indexOf(end, from + REACH);
  return far < 0 ? null : far + end.length;
}
