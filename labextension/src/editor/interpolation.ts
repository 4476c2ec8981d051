/**
 * Finds the expressions in braces that will be filled in, to mark them in the editor. The kernel uses Python's parser
 * (`jupyter_bgstream/client/magics/interpolation.py`); this module looks at brackets, quotes and keywords.
 */

import { HOLE, inCode, TEMPLATE } from './pastedCode';

/** A part of a text. */
export interface Range {
  from: number;
  to: number;
}

const LONGEST = 500;
const OPENING = /\{+/g;
const STRING = /(?:\b[rRbBfFuU]{1,2})?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')/y;
const BEGINS = /^(?:[\p{ID_Start}_(["'+~-]|\d)/u;
const SPEC = /^(?:(?:[^{}]?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(?:\.\d+)?[bcdeEfFgGnosxX%]?|[^{}]*%[A-Za-z][^{}]*)$/;
const NAME = /^[\p{ID_Start}_][\p{ID_Continue}_]*(?:\.[\p{ID_Start}_][\p{ID_Continue}_]*)*$/u;
const PART = /[\p{ID_Start}_][\p{ID_Continue}_]*|\d[\w.]*|""|\*\*|\/\/|==|\S/gu;
const KEYWORDS = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from global if ' +
    'import in is lambda nonlocal not or pass raise return try while with yield'
  ).split(' ')
);
const OPERATORS = new Set(['and', 'or', 'not', 'if', 'else', 'for', 'in', 'is']);
const CONSTANTS = new Set(['False', 'None', 'True']);

/** Return where expressions are filled in; with `everywhere` also in code. */
export function filledRanges(text: string, everywhere = false): Range[] {
  const found = [...expressions(text)];
  if (found.length === 0) {
    return [];
  }
  let masked = '';
  let at = 0;
  for (const { from, to } of found) {
    masked += text.slice(at, from).replaceAll(HOLE, ' ') + HOLE;
    at = to;
  }
  const code = everywhere ? [] : inCode(masked + text.slice(at).replaceAll(HOLE, ' '));
  const template = !everywhere && TEMPLATE.test(text);
  return found.flatMap(({ from, to, braces }, number) => {
    const filled = code[number] !== true && braces % 2 === 1 && !(template && braces > 1);
    return filled ? [{ from: from + braces - 1, to: to - braces + 1 }] : [];
  });
}

function* expressions(text: string): Generator<Range & { braces: number }> {
  let at = 0;
  for (;;) {
    OPENING.lastIndex = at;
    const opening = OPENING.exec(text);
    if (opening === null) {
      return;
    }
    let braces = opening[0].length;
    at = opening.index + braces;
    const end = scan(text, at, '}');
    if (end === 0 || !isExpression(text.slice(at, end))) {
      continue;
    }
    while (braces > 1 && !text.startsWith('}'.repeat(braces), end)) {
      braces--;
    }
    const from = at - braces;
    at = end + braces;
    yield { from, to: at, braces };
  }
}

/** Return where a character stands outside strings and brackets on this line, or 0. */
function scan(whole: string, from: number, wanted: string): number {
  const text = whole.slice(0, from + LONGEST + 1);
  const open: string[] = [];
  for (let at = from; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === wanted && open.length === 0) {
      return at;
    }
    if (character === '"' || character === "'") {
      STRING.lastIndex = at;
      if (!STRING.test(text)) {
        return 0;
      }
      at = STRING.lastIndex - 1;
    } else if (character === '(' || character === '[') {
      open.push(character === '(' ? ')' : ']');
    } else if ((character === ')' || character === ']') && open.pop() !== character) {
      return 0;
    } else if ('{}\n'.includes(character)) {
      return 0;
    }
  }
  return 0;
}

function isExpression(source: string): boolean {
  if (NAME.test(source)) {
    return !source.split('.').some(word => KEYWORDS.has(word));
  }
  if (!BEGINS.test(source) || source.trimEnd() !== source) {
    return false;
  }
  const colon = scan(source, 0, ':');
  const code = (colon > 0 ? source.slice(0, colon) : source).replace(/![rsa]$/, '');
  return (colon === 0 || SPEC.test(source.slice(colon + 1))) && looksLikePython(code);
}

function looksLikePython(code: string): boolean {
  const parts = code.replace(new RegExp(STRING.source, 'g'), '""').match(PART) ?? [];
  let depth = 0;
  let names = false;
  let operand = false; // whether the part before ends one, so that no other may follow
  for (const [number, part] of parts.entries()) {
    const word = /^[\p{ID_Start}_]/u.test(part);
    if ((word && !KEYWORDS.has(part)) || CONSTANTS.has(part) || part === '""' || /^\d/.test(part)) {
      if (operand && !(part === '""' && parts[number - 1] === '""')) {
        return false;
      }
      names ||= word && !CONSTANTS.has(part);
      operand = true;
    } else if (word) {
      if (!OPERATORS.has(part) || (depth === 0 && (part === 'in' || part === 'is' || part === 'for'))) {
        return false;
      }
      operand = false;
    } else if ('([)]'.includes(part)) {
      depth += '(['.includes(part) ? 1 : -1;
      operand = ')]'.includes(part);
    } else if (/[;?!$\\`]/.test(part) || (depth === 0 && /[=<>,|:]/.test(part))) {
      return false;
    } else {
      operand = false;
    }
  }
  return names && (operand || parts.at(-1) === ',');
}
