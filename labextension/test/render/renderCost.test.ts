import { describe, expect, it } from 'vitest';

import { BLOCK_LIMIT, costOf, isCostly } from '../../src/render/renderCost';
import { cpuTime } from '../cpu';

const repeated = (unit: string, length = 20_000): string => unit.repeat(length / unit.length);
const rows = (columns: number, count: number): string =>
  `|${'a|'.repeat(columns)}\n|${'-|'.repeat(columns)}\n${'|x\n'.repeat(count)}`;

describe('ordinary Markdown is drawn', () => {
  const words = ['alpha', 'beta', 'gamma', 'delta'];
  it.each([
    ['prose', repeated('Some **bold** words with `code` and [a link](https://example.org/a_b_c) more. ', 8000)],
    ['a list', repeated('- **Name**: some words about `some_code` and *more* of it, up to here.\n', 18_000)],
    ['numbers', Array.from({ length: 200 }, (_, n) => `${n + 1}. **Name**: words about \`some_code\`.\n`).join('')],
    [
      'a table',
      `${'| a '.repeat(8)}|\n${'|---'.repeat(8)}|\n${`| ${words.join(' 1.5 | ').repeat(2)} |\n`.repeat(200)}`
    ],
    [
      'a table of bold words and code',
      `${'| a '.repeat(6)}|\n${'|---'.repeat(6)}|\n${'| **Name** | `code_a` | some words | 1.5 | *more* | **b** `c` |\n'.repeat(200)}`
    ],
    ['400 items', '- **Name**: some words about `some_code` and *more* of it, up to here.\n'.repeat(400)],
    ['formulas', repeated('It is $E = mc^2$, of which more is said in what comes. ', 6000)],
    ['a nested list', '- a\n  - b\n    - c\n      - d\n'.repeat(60)],
    ['Chinese prose', '\u5b57\u6c49\u8bed\u4e2d\uff0c'.repeat(1200)],
    ['Arabic prose', '\u0627\u0644\u0639\u0631 '.repeat(2000)],
    ['a quote', repeated('> So it is written, and so it was said.\n', 12_000)]
  ])('%s', (_, text) => {
    expect(costOf(text, false)).toBeLessThan(BLOCK_LIMIT);
  });

  it('a program of 300 lines', () => {
    expect(isCostly(`\`\`\`py\n${'    if value[key] > 3: count(value, 1)\n'.repeat(300)}\`\`\`\n`, true)).toBe(false);
  });

  it('a small diagram', () => {
    expect(isCostly(`\`\`\`mermaid\nflowchart LR\n${'a[One] --> b[Two]\n'.repeat(20)}\`\`\`\n`, true)).toBe(false);
  });
});

describe('costly Markdown is not drawn', () => {
  it.each([
    ['a wide table', rows(1500, 4000)],
    ['many columns', rows(300, 2)],
    ['a wide table in a list', `- ${rows(1500, 4000).replaceAll('\n', '\n  ')}`],
    ['a wide table in a quote', `> ${rows(1500, 4000).replaceAll('\n', '\n> ')}`],
    ['images', repeated('![](')],
    ['emphasis', repeated('*a **a ')],
    ['emphasis in lines that only look like items', `- a\n${repeated('      - *a **a\n')}`],
    ['emphasis in lines that only look like numbered items', `a\n${repeated('2. *a **a\n')}`],
    ['emphasis in lines that only look like rows', `a | b | c\n- | -\n${repeated('| *a **a | _a\n')}`],
    ['two directions', repeated('a\u05d0')],
    ['a word of Thai letters', repeated('\u0e01')],
    ['at signs', repeated('@')],
    ['underscores', repeated('_')],
    ['a long word before an at sign', `${repeated('a')}@b`],
    ['quotes in each other', '>'.repeat(100)],
    ['lists in each other', `${'- '.repeat(100)}a`],
    ['quotes and lists in each other', '> - 1. '.repeat(20)],
    ['a run of backticks', `a ${'`'.repeat(5000)}`],
    ['runs of backticks of each length', Array.from({ length: 150 }, (_, n) => `${'`'.repeat(n)}a`).join('')],
    ['formulas', repeated('$x$ ')],
    ['elements', repeated('<b>')],
    ['items', repeated('- a\n')],
    ['headings', repeated('# a\n')],
    ['one line', repeated('word ', 200_000)],
    ['a program in a list', `- a\n  \`\`\`js\n  ${repeated('f(x); ')}\n  \`\`\`\n`]
  ])('%s', (_, text) => {
    expect(isCostly(text, false)).toBe(true);
  });

  it.each([
    ['a long program', `\`\`\`js\n${repeated('f(x);\n')}\`\`\`\n`],
    ['long code without a language', `\`\`\`\n${repeated('x = 1\n', 90_000)}\`\`\`\n`],
    ['code of two directions', `\`\`\`\n${repeated('a\u05d0')}\n\`\`\`\n`],
    ['backticks in code', `~~~\n${'`'.repeat(9000)}\n~~~\n`],
    ['a fence of nothing but tildes', repeated('~', 70_000)],
    ['fences in code that do not end', `\`\`\`\n${repeated('```a\n', 60_000)}`],
    ['many arrows', `\`\`\`mermaid\ngraph TD\n${'a-->b\n'.repeat(100)}\`\`\`\n`],
    ['many arrows in a line', `\`\`\`mermaid\ngraph TD\na${'-->b'.repeat(100)}\n\`\`\`\n`],
    ['arrows from each node to each', '```mermaid\ngraph TD\na & b & c & d & e --> f & g & h & i & j\n```\n'],
    ['an endless packet', '```mermaid\npacket-beta\n0-999999999: "a"\n```\n'],
    ['endless ticks', '```mermaid\ngantt\ntickInterval 1second\na: 2000-01-01, 9999d\n```\n'],
    ['settings of a diagram', '```mermaid\n%%{init: {"maxEdges": 99999}}%%\ngraph TD\na-->b\n```\n'],
    ['a diagram with spaces before its name', '~~~~  Mermaid\npacket-beta\n0-999999999: "a"\n~~~~\n']
  ])('%s', (_, text) => {
    expect(isCostly(text, true)).toBe(true);
  });
});

it.each([
  '*a ',
  'a',
  ' ',
  '`',
  '|',
  '-',
  '>',
  '- ',
  '\\',
  '\n',
  'a\n',
  '| a |\n',
  '~',
  '$',
  '@',
  '1',
  '.',
  '1. ',
  '`\n'
])('takes bounded time for %j', async unit => {
  for (const text of [repeated(unit, 80_000), `a${repeated(unit, 80_000)}b`]) {
    for (const fence of [false, true]) {
      let cost = 0;
      // Quadratic, it would be billions of steps.
      expect(await cpuTime(() => (cost = costOf(text, fence)))).toBeLessThan(1000);
      expect(cost).toBeGreaterThan(0);
    }
  }
});
