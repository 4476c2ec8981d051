import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { formatCost, previewText } from '../../src/views/format';
import { stateLabel } from '../../src/views/jobLabels';

const golden = JSON.parse(readFileSync(new URL('../../../tests/golden/costs.json', import.meta.url), 'utf8')) as {
  cases: { usd: number; estimated: boolean; words: string }[];
};

test.each(golden.cases)('a cost is formatted as $words', ({ words, ...cost }) => {
  expect(formatCost(cost)).toBe(words);
});

test('an unknown cost is empty', () => {
  expect(formatCost(null)).toBe('');
});

test('an unknown finish reason does not change the label', () => {
  expect(stateLabel('completed', 'constructor')).toBe('Done');
});

test.each([
  ['*This is* the **demo** model: `x_y` and snake_case.', 'This is the demo model: x_y and snake_case.'],
  ['# A title\n\n- one\n- two\n\n1. three', 'A title one two three'],
  ['> quoted\n```python\nprint(2 * 3)\n```', 'quoted python print(2 3)'],
  ['_emphasis_ and __more__', 'emphasis and more'],
  ['', '']
])('a preview has the words of %j', (markdown, words) => {
  expect(previewText(markdown)).toBe(words);
});
