import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { withFormulas } from '../../src/render/formulas';
import { cpuTime } from '../cpu';

const golden = JSON.parse(readFileSync(new URL('../../../tests/golden/formulas.json', import.meta.url), 'utf8')) as {
  cases: { name: string; text: string; markdown: string }[];
};

describe('formulas and prices', () => {
  it.each(golden.cases)('are written as in Python: $name', ({ text, markdown }) => {
    expect(withFormulas(text)).toBe(markdown);
    expect(withFormulas(markdown)).toBe(markdown);
  });

  it.each([
    '\\(',
    '\\[',
    '$a',
    '$ ',
    '$$x',
    '$',
    '`',
    '\\(\\a',
    'https://$',
    '|-',
    '- ',
    '1. ',
    '> ',
    '\n> \\(',
    '<span>',
    '\\(<span>'
  ])('take linear time: %j', async piece => {
    const text = `${piece.repeat(Math.ceil(200_000 / piece.length))} $`;
    expect(await cpuTime(() => withFormulas(text))).toBeLessThan(2000); // quadratic, it would be minutes
  });
});
