/**
 * Detects pasted code, markup and maths in a prompt, for the marks in the editor. The kernel decides by the rule in
 * `jupyter_bgstream/client/magics/pasted_code.py`; `\w` is ASCII here. Both have the same tests.
 */

/** Stands for an expression with its braces. */
export const HOLE = '\0';
export const TEMPLATE = /\{%|\{\{[\s#/.>^&!-]/;

const WINDOW = 2000; // characters at each end of a long line in which signs are looked for
const SENTENCE = 300; // the same for the beginning and the end of a sentence
const HTML =
  'a|abbr|b|body|br|button|canvas|div|em|footer|form|h[1-6]|head|hr|html|i|iframe|img|label|li|link|main|meta|nav|ol' +
  '|option|p|path|pre|script|select|slot|small|span|strong|style|sub|sup|svg|table|tbody|td|template|th|thead|tr|tt|u' +
  '|ul|video';
/** How lines of code begin. */
const BEGINNING = [
  // Definitions, imports, statements.
  /^\s*(?:(?:export|pub|public|private|protected|static|final|abstract|async|override|default|data|case)\s+)*(?:const\b|def\s+\w+\s*\(|class\s+\w+\s*[:({<]|fn\s+\w|func\s+\w|fun\s+\w+\(|impl\b|struct\s+\w|enum\s+\w)/,
  /^\s*(?:export\s+)?(?:interface\s+\w+\s*[{<]|typedef\s|use\s+\w+::|type\s+\w+\s*=)|^\s*export\s+(?:default|function|type|\0|\*)/,
  /^\s*(?:import\s+(?:\0|type\b|static\b|[\w.*]+(?:\s+as\s+\w+)?$|.*\bfrom\b\s*["'])|from\s+\S+\s+import\b)/,
  /^\s*(?:(?:return|throw|yield)\s+\0;?$|assert\s|raise\s+[A-Z]\w+\(|throw\s+new\b|elif\b|(?:\}\s*)?else\s*[\0:]|try\s*\0)/,
  /^\s*(?:do\s*\0|print\s+["']|\w*\s*=>\s*\0|(?:if|for|while)\b[^:]*:\s*(?:return|pass|break|continue|print)\b)/,
  /^\s*(?:\}\s*)?(?:if|for|foreach|while|switch|catch)\s*\(/,
  /^\s*[\w.$:]+!?\(.*\)[;,]?$/,
  /^\s*[\w$@.[\]*&'"-]+(?:\s*:\s*[\w.[\]|<>]+)?\s*[-+*/%|&^?]?=(?![=>])\s*\S/,
  /^\s*(?:export |public |private |static |final |readonly )*(?:const|let|var|val|auto|int|float|double|bool|char|string|String|local|my|ENV|ARG)\s+[^=]*=/,
  /^\s*(?:@\w[\w.]*[({]|@(?:media|mixin|include|import|keyframes|Override)\b|\[[A-Za-z][\w.-]*\]$)/,
  /^\s*#(?:include|define|ifdef|ifndef|endif|pragma|!)|^\s*[\])}]+[;,]*$|^(?!\s*(?:[-*+•]|\d+[.)])\s).*;$/,
  // Shells, queries, requests.
  /^\s*(?:\$\s+\S|>>>\s|\.\.\.\s)|^[^|]*\|\s*(?:grep|awk|sed|xargs|jq|tee|wc|uniq)\b/,
  /^\s*(?:sudo|echo|curl|wget|git|docker|kubectl|pip3?|npm|npx|yarn|grep|awk|sed|mkdir|chmod|chown|ssh|scp|rsync|rm|mv|cp|ls|cd|cat|puts|export)\s+[-\w./"'$~@<\0]/,
  /^\s*(?:SELECT|INSERT\s+INTO|DELETE\s+FROM|FROM|WHERE|GROUP\s+BY|ORDER\s+BY|RUN|COPY)\s/,
  /^\s*(?:CREATE\s+(?:TABLE|VIEW|INDEX)\b|UPDATE\s+\S+\s+SET\b|WITH\s+\w+\s+AS\b)/,
  /^\s*(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\s+[/h]/,
  /^\s*(?:select\s+(?:\*|[\w.]+(?:\s*,\s*[\w.]+)*)\s+from|insert\s+into|delete\s+from|update\s+\S+\s+set)\s/,
  // JSON, YAML, a formula.
  /^\s*(?:"[^"]*"\s*:\s|[{[]\s*["'])|^\s*\$\$\s*$/,
  /^\s*(?:- )?[a-z_][\w.-]*:\s+["'].*["']$|^\s+(?:- )?[a-z_/"'][\w./\0"'-]*:(?:\s|$)/
];
/** Signs of code: in any line, and in lines that are not PLAIN. */
const WORDS =
  /\bSELECT\b.*\0|\blambda\b[^:]*:\s*\0|\s--[a-z]|\w::|\.(?:map|filter|forEach|let|apply|also|run|flatMap|any|all|find|each)\s*\0|(?<![^\s(=,:[{+])[fFrRbB]{1,2}'[^\s(,.;:!?)]/;
const SIGNS = [
  /[{([\\]$|\)\s*(?:\{|[-=]>)|;\s*(?:done|fi)\b|;\s*(?:do|then)$|[\w\])]\s*[!=]==?\s*[\w"'(\0]|&&|\|[|>]|\(\);|\w\+\+/,
  /\w(?:->\w|\s*[-+*]=\s|\s*<-\s)|:=|%>|\/[*>]|\*\/|(?<!:)\/\/|<!--|<\?|\{[%#/@]|\{\{[\s#/.>^&!-]/,
  // Strings that begin with a letter, and what is done to strings; functions without a name.
  /(?<![^\s(=,:[{+])(?:[fFrRbBuU]{1,2}|\$@?|@\$?)"[^\s,.;:!?)]|\.format\(|["']\s*%\s*[\w(]/,
  /\b(?:function|lambda)\b\s*\w*\s*\(/,
  // Markup. Tags of other names, <document>, are what prompts are written with.
  new RegExp(`</?(?:${HTML})(?:\\s[^<>]*)?/?>|<(?:input|textarea|source|article|section)\\s[^<>]*>`),
  /<\/?(?:[A-Z][a-z][^<>]*>|\w+[:.]\w)|\\(?:[A-Za-z]{2,}|[[\]()])/
];
const PLAIN = /^[^=<>{}[\]\\;|&/*+%@#$"(]*$/;
const BLOCK = /^\s*(?:for|while|if|elif|with|except|match|case)\b.*:$/;
const FENCE = /^\s*(`{3,}|~{3,})/;
const LIST = /^\s*(?:[-*+•]|\d+[.)])\s/;
const INTRODUCTION =
  /^(?![a-z_][\w.-]*:\s)(?:[A-Za-z]|[^\0-\x7f])(?:\S*\s+\S+\s+\S+\s+\S|.*(?:\s|[^\0-\x7f]).*[.:?!…\u3002\uff1a\uff1f\uff01]["'”»)*]*$)/;
const QUOTES = /"""|'''/g;

// All of these are linear in the length of a line: an editor reads its cell at each change.
const SPAN = /(?<!`)`+[^`]+`+|\$(?=\S)[^$]*[^\s$]\$(?!\d)|<[A-Za-z][\w:.-]*\s[^<>]*>/g;
const BRACKET = /[([{}\])\0]/g;
const TAG = /<\/?[\w.-]+>/g;
const TOKEN = /[^\s\x80-\uffff]+/g;
const SYMBOL =
  /[$#%&^\\)\]}]\0|(?<!\0)@\0|\\[A-Za-z]+\*?\0|[A-Za-z]{2}\0|(?:(?<![A-Za-z0-9_])[A-Za-z]|\\[A-Za-z]+|[)}\]'|])_\0|\{/;
const PATH = /^[^A-Za-z]*[A-Za-z].*\/|^[^/]*\/.*[A-Za-z]|^["'(]?\//;

/** Return for each hole of the text, in order, whether it stands in code. */
export function inCode(text: string): boolean[] {
  const lines = new Lines(text);
  return lines.lines.flatMap((line, number) => {
    if (!line.includes(HOLE)) {
      return [];
    }
    const whole = lines.areCode(number);
    return inCodeWithin(line).map(part => whole || part);
  });
}

/** The lines of a prompt. Only those are looked at that decide on a hole. */
class Lines {
  readonly lines: string[];

  constructor(text: string) {
    this.lines = text.split('\n');
    this._indents = this.lines.map(indent);
    this._markFences();
    this._markQuotes();
    this._above = this._findAbove();
  }

  /** Whether a line, or one that it is indented below, is code. */
  areCode(number: number): boolean {
    const fenced = this._fenced.get(number);
    if (fenced !== undefined) {
      return fenced;
    }
    for (let line: number | undefined = number; line !== undefined; line = this._above[line]) {
      if (this._blockIsCode(line)) {
        return true;
      }
      const above = this._above[line];
      const inList = LIST.test(this._line(line)) || (above !== undefined && LIST.test(this._line(above)));
      if (this._indent(line) >= 4 && !inList) {
        return true;
      }
    }
    return false;
  }

  /** Decide on fenced blocks. A block of one expression alone is no code. */
  private _markFences(): void {
    for (let number = 0; number < this.lines.length; number++) {
      const opening = FENCE.exec(this._line(number))?.[1];
      if (opening === undefined) {
        continue;
      }
      const first = number++;
      for (; number < this.lines.length; number++) {
        const closing = FENCE.exec(this._line(number))?.[1];
        if (closing?.startsWith(opening) && this._line(number).trim() === closing) {
          break;
        }
      }
      const content = this.lines
        .slice(first + 1, number)
        .join('')
        .trim();
      for (let line = first; line <= number; line++) {
        this._fenced.set(line, content !== HOLE || line === first);
      }
    }
  }

  /** Make texts code that code has begun with three quotes. */
  private _markQuotes(): void {
    let quotes = '';
    this.lines.forEach((line, number) => {
      const found = this._fenced.has(number) ? [] : (line.match(QUOTES) ?? []);
      if (quotes !== '' || (found.length > 0 && this._hasSign(number))) {
        this._quoted.add(number);
        for (const each of found) {
          quotes = quotes === each ? '' : quotes || each;
        }
      }
    });
  }

  /** Return for each line the one that it is indented below. */
  private _findAbove(): (number | undefined)[] {
    const stack: number[] = [];
    return this.lines.map((line, number) => {
      if (this._fenced.has(number) || line.trim() === '') {
        return undefined;
      }
      while (stack.length > 0 && this._indent(stack.at(-1) ?? 0) >= this._indent(number)) {
        stack.pop();
      }
      const above = stack.at(-1);
      stack.push(number);
      return above;
    });
  }

  /** Whether a paragraph is code from this line on or before it. */
  private _blockIsCode(number: number): boolean {
    if (!this._blocks.has(number)) {
      let [start, end] = [number, number];
      while (this._goesOn(start - 1)) {
        start--;
      }
      while (this._goesOn(end + 1)) {
        end++;
      }
      let first = start;
      while (first <= end && !this._quoted.has(first) && !this._hasSign(first)) {
        first++;
      }
      // Sentences before code introduce it.
      let code = start;
      while (code < first && (first > end || INTRODUCTION.test(cut(this._line(code).trimEnd(), SENTENCE)))) {
        code++;
      }
      for (let line = start; line <= end; line++) {
        this._blocks.set(line, line >= code);
      }
    }
    return this._blocks.get(number) ?? false;
  }

  private _goesOn(number: number): boolean {
    return number >= 0 && number < this.lines.length && !this._fenced.has(number) && this._line(number).trim() !== '';
  }

  private _hasSign(number: number): boolean {
    let line = this._line(number)
      .replace(SPAN, span => (span.startsWith('<') ? span : 'c'.repeat(span.length)))
      .trimEnd();
    line = cut(line, WINDOW);
    return (
      BEGINNING.some(sign => sign.test(line)) ||
      WORDS.test(line) ||
      (!PLAIN.test(line) && SIGNS.some(sign => sign.test(line))) ||
      (this._indent(number + 1) > this._indent(number) && BLOCK.test(line))
    );
  }

  private _line(number: number): string {
    return this.lines[number] ?? '';
  }

  private _indent(number: number): number {
    return this._indents[number] ?? 0;
  }

  private readonly _indents: number[];
  private readonly _above: (number | undefined)[];
  private readonly _fenced = new Map<number, boolean>();
  private readonly _quoted = new Set<number>();
  private readonly _blocks = new Map<number, boolean>();
}

/** Return a line, or the two ends of a long one. */
function cut(line: string, size: number): string {
  return line.length > 2 * size ? `${line.slice(0, size)} ${line.slice(-size)}` : line;
}

function indent(line: string): number {
  if (line.trim() === '') {
    return 0;
  }
  let columns = 0;
  for (const character of /^\s*/.exec(line)?.[0] ?? '') {
    columns += character === '\t' ? 4 - (columns % 4) : 1;
  }
  return columns;
}

function inCodeWithin(untrimmed: string): boolean[] {
  const line = untrimmed.trimEnd();
  const found = new Set<number>();
  const mark = (from: number, to: number): void => {
    for (let place = line.indexOf(HOLE, from); place >= 0 && place < to; place = line.indexOf(HOLE, place + 1)) {
      found.add(place);
    }
  };
  for (const span of line.matchAll(SPAN)) {
    mark(span.index, span.index + span[0].length);
  }
  const open: boolean[] = []; // whether it is a brace, a call's or an index's
  let within = 0;
  const places: number[] = [];
  for (const { 0: bracket, index } of line.matchAll(BRACKET)) {
    if (bracket === HOLE) {
      places.push(index);
      if (within > 0) {
        found.add(index);
      }
    } else if ('([{'.includes(bracket)) {
      const code = bracket === '{' || /[\p{L}\p{N}_!]/u.test(line.charAt(index - 1));
      open.push(code);
      within += Number(code);
    } else {
      within -= Number(open.pop() ?? false);
    }
  }
  const plain = line.replace(TAG, tag => ' '.repeat(tag.length));
  for (const { 0: token, index } of plain.matchAll(TOKEN)) {
    if (token.includes(HOLE) && (SYMBOL.test(token) || (token.includes('/') && PATH.test(token)))) {
      mark(index, index + token.length);
    }
  }
  return places.map(place => found.has(place));
}
