import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { escapeHtml } from '../src/escape';
import { seeded } from './random';

const golden = JSON.parse(readFileSync(new URL('../../tests/golden/escape.json', import.meta.url), 'utf8')) as {
  cases: { name: string; markdown: string; escaped: string }[];
};

it.each(golden.cases.map(each => [each.name, each] as const))('%s', (_, { markdown, escaped }) => {
  expect(escapeHtml(markdown)).toBe(escaped);
  expect(escapeHtml(escaped)).toBe(escaped);
});

it('twice is once, whatever the text', () => {
  const random = seeded(2);
  const pieces = [
    '`',
    '``',
    '```',
    '~~~',
    '<b>',
    '<https://a.b>',
    '|',
    '\\',
    '\n',
    '\r',
    ' ',
    'x',
    '- ',
    '> ',
    '<!--',
    '$$'
  ];
  for (let n = 0; n < 5000; n++) {
    const text = Array.from({ length: 30 }, () => pieces[Math.floor(random() * pieces.length)]).join('');
    expect(escapeHtml(escapeHtml(text))).toBe(escapeHtml(text));
  }
});

it('a long line of marks takes no quadratic time', () => {
  const start = performance.now();
  escapeHtml('<b> ` '.repeat(50_000) + '|');
  escapeHtml(Array.from({ length: 600 }, (_, n) => '`'.repeat(n + 1)).join(' <b> '));
  expect(performance.now() - start).toBeLessThan(2000);
});
