import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { costWords, previewWords, stateWords } from '../../src/views/labels';

const golden = JSON.parse(readFileSync(new URL('../../../tests/golden/costs.json', import.meta.url), 'utf8')) as {
  cases: { usd: number; estimated: boolean; words: string }[];
};

test.each(golden.cases)('a price: $words', ({ words, ...cost }) => {
  expect(costWords(cost)).toBe(words);
});

test('no price that is not known', () => {
  expect(costWords(null)).toBe('');
});

test('a reason that a provider names is no word of ours', () => {
  expect(stateWords('completed', 'constructor')).toBe('done');
});

test.each([
  ['*This is* the **demo** model: `x_y` and snake_case.', 'This is the demo model: x_y and snake_case.'],
  ['# A title\n\n- one\n- two\n\n1. three', 'A title one two three'],
  ['> quoted\n```python\nprint(2 * 3)\n```', 'quoted python print(2 3)'],
  ['_emphasis_ and __more__', 'emphasis and more'],
  ['', '']
])('a preview has the words of %j', (markdown, words) => {
  expect(previewWords(markdown)).toBe(words);
});
