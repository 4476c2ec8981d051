import { expect, test } from 'vitest';

import { prettyJson } from '../../src/render/prettyJson';

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

test('deep or long JSON gives output of linear size', () => {
  const deep = '['.repeat(5000) + ']'.repeat(5000);
  expect(prettyJson(deep).length).toBeLessThan(500_000);
  const long = `[${'1,'.repeat(200_000)}1]`;
  expect(prettyJson(long).length).toBeLessThan(1_500_000);
});
