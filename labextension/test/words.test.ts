import { expect, test } from 'vitest';

import { previewWords } from '../src/words';

test.each([
  ['*This is* the **demo** model: `x_y` and snake_case.', 'This is the demo model: x_y and snake_case.'],
  ['# A title\n\n- one\n- two\n\n1. three', 'A title one two three'],
  ['> quoted\n```python\nprint(2 * 3)\n```', 'quoted python print(2 3)'],
  ['_emphasis_ and __more__', 'emphasis and more'],
  ['', '']
])('a preview has the words of %j', (markdown, words) => {
  expect(previewWords(markdown)).toBe(words);
});
