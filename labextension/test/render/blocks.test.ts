import { marked } from 'marked';
import { describe, expect, it } from 'vitest';

import { Blocks } from '../../src/render/markdownSplitter';
import { cpuTime } from '../cpu';
import { seeded } from '../random';

function split(text: string, cuts: number[] = []): Blocks {
  const blocks = new Blocks();
  for (const cut of cuts) {
    blocks.feed(text.slice(0, cut));
  }
  blocks.feed(text);
  return blocks;
}

function finished(text: string, cuts: number[] = []): Blocks {
  const blocks = split(text, cuts);
  blocks.finish();
  return blocks;
}

const texts = (text: string): string[] => finished(text).closed.map(block => block.text);

describe('boundaries', () => {
  it.each([
    ['paragraphs', 'One.\n\nTwo.', ['One.\n\n', 'Two.']],
    ['one line end is no boundary', 'One.\nTwo.', ['One.\nTwo.']],
    ['a fence is a block', 'Look:\n```py\na\n\nb\n```\nThen.', ['Look:\n', '```py\na\n\nb\n```\n', 'Then.']],
    ['an open fence is a block', '~~~\na\n\nb', ['~~~\na\n\nb']],
    ['a fence closes with at least its own length', '````\n```\n\nx\n````\n\ny', ['````\n```\n\nx\n````\n', '\ny']],
    ['inline code is no fence', '``` x ``` y\n\nz', ['``` x ``` y\n\n', 'z']],
    ['a loose list stays one block', '1. a\n\n2. b\n\n   more\n\nEnd', ['1. a\n\n2. b\n\n   more\n\n', 'End']],
    [
      'a fence in a list',
      '- a\n\n  ```\n  x\n\n  y\n  ```\n\n- b\n\nEnd',
      ['- a\n\n  ```\n  x\n\n  y\n  ```\n\n- b\n\n', 'End']
    ],
    ['indented code', 'a\n\n    x\n\n    y\n\nb', ['a\n\n    x\n\n    y\n\n', 'b']],
    ['display maths', '$$\na\n\nb\n$$\n\nc', ['$$\na\n\nb\n$$\n\n', 'c']],
    ['a table', '|a|b|\n|-|-|\n|1|2|\n\nEnd', ['|a|b|\n|-|-|\n|1|2|\n\n', 'End']],
    ['CRLF', 'a\r\n\r\nb\r\n```\r\nx\r\n```\r\nc', ['a\r\n\r\n', 'b\r\n', '```\r\nx\r\n```\r\n', 'c']],
    ['blank lines first', '\n\n- a\n\n- b', ['\n\n- a\n\n- b']],
    ['a no-break space is not blank', 'a\n\u00a0\nb', ['a\n\u00a0\nb']],
    ['nothing', '', []]
  ])('%s', (_, text, expected) => expect(texts(text)).toEqual(expected));

  it('a $$ that is never closed does not keep all blocks open', () => {
    expect(texts('Costs $$ here.\n\n' + 'Words and more words.\n\n'.repeat(1000)).length).toBeGreaterThan(400);
  });
});

describe('needsWhole', () => {
  it.each(['[x]: https://example.org', 'a\n\n[^1]: Note', '<details>\n\nx\n\n</details>', '- a\n  ```\nb\n  ```'])(
    'is true for %j',
    text => expect(finished(text).needsWhole).toBe(true)
  );
  it.each(['a [x] b', '```\n[x]: y\n<b>\n```', 'a < b', '- a\n  ```\n  b\n  ```'])('is false for %j', text =>
    expect(finished(text).needsWhole).toBe(false)
  );
});

it('an open fence is known as soon as its line is complete', () => {
  expect(split('Look:\n\n```py').inFence).toBe(false);
  expect(split('Look:\n\n```py\n')).toMatchObject({ inFence: true, tail: '```py\n' });
  expect(split('Look:\n\n```py\na\n\nb').tail).toBe('```py\na\n\nb');
  expect(split('```py\na\n```\n')).toMatchObject({ inFence: false, tail: '' });
});

const PIECES = [
  'A paragraph with *words* and `code`.',
  'A second line of it.',
  '# Heading',
  'Setext\n---',
  '- item',
  '* item',
  '  - nested item',
  '1. first',
  '2) second',
  '   continued',
  '    indented far',
  '```python',
  '```',
  '~~~',
  '   ```',
  '  ~~~ ',
  '> quote',
  '> ```',
  '| a | b |\n|---|---|\n| 1 | 2 |',
  '$$',
  '$$ x = 1 $$',
  'costs $5 and $$',
  '---',
  '***',
  '1234567890123456789',
  '[ref]: https://example.org "x"',
  'see [ref] and [^1]',
  '[^1]: a note',
  '<div>',
  '</div>',
  '                    ',
  '\t',
  '👩‍🚀 é \u2028 \u00a0',
  '',
  '',
  '',
  ''
];

function document(random: () => number): string {
  const lines = Array.from(
    { length: 2 + Math.floor(random() * 25) },
    () => PIECES[Math.floor(random() * PIECES.length)]!
  );
  const text = lines.join('\n').replaceAll('\n', random() < 0.2 ? '\r\n' : '\n');
  return random() < 0.5 ? text : text + '\n';
}

function anyCuts(text: string, random: () => number): number[] {
  return Array.from({ length: Math.floor(random() * 40) }, () => Math.floor(random() * (text.length + 1))).sort(
    (a, b) => a - b
  );
}

describe('laws', () => {
  const random = seeded(1);
  const documents = Array.from({ length: 1500 }, () => document(random));

  it('the blocks do not depend on how the text was fed', () => {
    for (const text of documents) {
      const once = finished(text);
      expect(finished(text, anyCuts(text, random))).toMatchObject({ closed: once.closed, needsWhole: once.needsWhole });
    }
    for (const text of documents.slice(0, 100)) {
      expect(
        finished(
          text,
          Array.from(text, (_, i) => i)
        ).closed
      ).toEqual(finished(text).closed);
    }
  });

  it('blocks and tail joined are the text, at every moment', () => {
    for (const text of documents) {
      const blocks = new Blocks();
      for (const cut of [...anyCuts(text, random), text.length]) {
        blocks.feed(text.slice(0, cut));
        expect(blocks.closed.map(block => block.text).join('') + blocks.tail).toBe(text.slice(0, cut));
      }
      blocks.finish();
      expect(blocks.closed.map(block => block.text).join('')).toBe(text);
    }
  });

  it('the rendered parts equal the rendered whole unless the whole is needed', () => {
    let compared = 0;
    for (const text of documents.map(comparable)) {
      const blocks = finished(text);
      if (!blocks.needsWhole) {
        compared++;
        const parts = blocks.closed.map(block => html(block.text)).join('');
        expect(parts, JSON.stringify(text)).toBe(html(text));
      }
    }
    expect(compared).toBeGreaterThan(300);
  });
});

/** The document without what marked itself gets wrong: lines of one tab, a fence that the end of the text opens, CRLF. */
function comparable(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll('\t', '') + '\n\nThe end.';
}

/** Markdown as HTML, without the invisible white space between tags. */
function html(text: string): string {
  return marked.parse(text, { async: false }).replace(/\n+(?=<)|(?<=>)\n+/g, '');
}

it('a long answer takes linear time', async () => {
  const text = 'A paragraph of some length, as models write them.\n\n```py\nx = 1\n\ny = 2\n```\n\n- a\n- b\n\n'.repeat(
    6000
  );
  const blocks = new Blocks();
  const feed = (): void => {
    for (let end = 0; end < text.length; end += 50) {
      blocks.feed(text.slice(0, end));
    }
  };
  expect(await cpuTime(feed)).toBeLessThan(3000);
  expect(blocks.closed.length).toBeGreaterThan(15_000);
});
