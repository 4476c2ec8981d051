import { describe, expect, it } from 'vitest';

import { filledRanges } from '../../src/editor/interpolation';

const SIZE = 200_000; // characters, from which on nothing is marked
const BUDGET = 200; // ms of the processor

const repeat = (unit: string, size = SIZE): string => unit.repeat(Math.ceil(size / unit.length));
const lines = (unit: string, length: number): string => repeat(`${repeat(unit, length)} {x}\n`);

// Lines that make a rule for expressions scan the rest of the line again for each character.
const LINES: Record<string, string> = {
  backticks: `{x}${repeat('`')}`,
  'letters before an expression': `${repeat('a')}={x}`,
  'letters after a slash': `/${repeat('a')}={x}`,
  'slashes before letters': `{x}=${repeat('/')}1`,
  'escaped quotes': `{"${repeat('\\"{')}`,
  quotes: repeat(`{"'`),
  'open brackets': repeat('{(['),
  braces: repeat('{'),
  expressions: repeat('{x}'),
  'expressions in braces': `${repeat('{', SIZE / 2)}x${repeat('}', SIZE / 2)}`,
  dollars: `{x} ${repeat('$a ')}`,
  tags: `{x} ${repeat('<a ')}`,
  'a long tag': `{x} <A${repeat('a')}`,
  'a long tag with blanks': `{x} <a ${repeat(' ')}`,
  blanks: `{x}${repeat(' ')}x`,
  'blanks before an expression': `a${repeat(' ')}{x}`,
  commands: `{x}=${repeat('\\a')}`,
  'sentences of one word': `a${repeat('ж.')}\n{x} = y(1);`,
  introductions: `${repeat(`a${repeat('ж.', 3000)}x\n`)}{x} = y(1);`,
  'quotes over lines': repeat(`x = """ {x}\n`),
  steps: Array.from({ length: 600 }, (_, n) => `${' '.repeat(n)}{x}`).join('\n'),
  fences: repeat('```\n{x}\n'),
  'open fences': `${repeat('```a\n')}{x}`,
  lines: repeat('{x}\n'),
  'blank lines': `{x}${repeat('\n')}{x}`,
  assignments: lines('a ', 3900),
  selects: lines('SELECT ', 3900),
  lambdas: lines('lambda ', 3900),
  functions: lines('function ', 3900),
  'long tags': lines('<Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 3900),
  'one long tag': repeat(`<A${repeat('a', 3900)} {x}\n`),
  parentheses: lines('a(', 3900),
  pipes: lines('a|', 3900),
  colons: lines('a: ', 3900),
  stars: lines('*', 3900),
  'words of a line': lines('public ', 3900),
  'one word': repeat(`${repeat('a', 3900)} {x}\n`),
  dots: repeat(`a${repeat('.', 3900)} {x}\n`),
  spaces: repeat(`a${repeat(' ', 3900)}x{x}\n`),
  percents: repeat(`"${repeat(' ', 1900)}%${repeat(' ', 1900)} {x}\n`),
  semicolons: repeat(`;${repeat(' ', 3900)} {x}\n`)
};

describe('marking a prompt of 200,000 characters takes bounded time', () => {
  it.each(Object.entries(LINES))('%s', (_, text) => {
    const longest = Math.min(
      ...[0, 1, 2].map(() => {
        const before = process.cpuUsage();
        filledRanges(text.slice(0, SIZE + 100));
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1000;
      })
    );
    expect(longest).toBeLessThan(BUDGET);
  });
});
