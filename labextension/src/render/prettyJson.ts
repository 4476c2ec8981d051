/** Indents JSON text: adds line breaks and indents, and changes no other character. */

/** Return the text indented; one that is no JSON object or array, or very long, is returned as it is. */
export function prettyJson(text: string): string {
  if (text.length > LONGEST || !isComposite(text)) {
    return text;
  }
  // Not by parsing and writing it again: that would round long numbers and drop doubled names.
  const out: string[] = [];
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const before = out.at(-1) ?? '';
    const closes = token === '}' || token === ']';
    depth -= closes ? 1 : 0;
    const opened = before === '{' || before === '[';
    if ((closes && !opened) || (!closes && (opened || before === ','))) {
      out.push(`\n${'  '.repeat(Math.min(depth, DEEPEST))}`);
    }
    out.push(token);
    if (token === ':') {
      out.push(' ');
    }
    depth += token === '{' || token === '[' ? 1 : 0;
  }
  return out.join('');
}

/** Limit of characters, which take some ms. */
const LONGEST = 100_000;

/** Deeper than this nothing is indented further: depth times length must not become a page's memory. */
const DEEPEST = 20;

function isComposite(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
