import { expect, test } from 'vitest';

import { prettyJson } from '../../src/render/prettyJson';
import { cpuTime } from '../cpu';

test.each([
  ['{"city":"Bern","days":3}', '{\n  "city": "Bern",\n  "days": 3\n}'],
  [' { } ', '{}'],
  ['{"a":[],"b":[1,{"c":null}]}', '{\n  "a": [],\n  "b": [\n    1,\n    {\n      "c": null\n    }\n  ]\n}'],
  // Not a character else is changed: no number rounded, no doubled name dropped, nothing in a string taken for a sign.
  [
    '{"id":12345678901234567890,"x":1.10,"x":"{\\"a\\": [1,2]}\\\\"}',
    '{\n  "id": 12345678901234567890,\n  "x": 1.10,\n  "x": "{\\"a\\": [1,2]}\\\\"\n}'
  ],
  ['{"cut off', '{"cut off'],
  ['"a string"', '"a string"'],
  ['', '']
])('indents %s', (text, shown) => {
  expect(prettyJson(text)).toBe(shown);
});

test.each([
  ['deep', '['.repeat(10_000) + ']'.repeat(10_000)],
  ['long', `[${'1,'.repeat(49_998)}1]`]
])('indents %s JSON in bounded time and space', async (_, text) => {
  let shown = '';
  // Unlimited indents would be 200 MB.
  expect(await cpuTime(() => (shown = prettyJson(text)))).toBeLessThan(2000);
  expect(shown.length).toBeGreaterThan(text.length);
  expect(shown.length).toBeLessThan(50 * text.length);
});

test('returns longer JSON unchanged', () => {
  const text = `[${'1,'.repeat(50_000)}1]`;
  expect(prettyJson(text)).toBe(text);
});
