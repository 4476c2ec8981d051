// @vitest-environment jsdom
import { readFileSync } from 'node:fs';

import { removeMath, replaceMath } from '@jupyterlab/rendermime/lib/latex';
import MarkdownIt from 'markdown-it';
import { Marked } from 'marked';
import { Marked as Marked16 } from 'marked16';
import { expect, it } from 'vitest';

import { escapeHtml } from '../../src/outputs/escapeMarkdown';
import { cpuTime } from '../cpu';
import { seeded } from '../random';

interface Golden {
  cases: { name: string; markdown: string; escaped: string }[];
}

function golden(name: string): Golden['cases'] {
  return (JSON.parse(readFileSync(`../tests/golden/${name}.json`, 'utf8')) as Golden).cases;
}

const ATTACKS = golden('attacks').map(each => each.markdown);

/** As Lab writes code: the words after a fence as they are. */
const renderer = {
  code: ({ text, lang = '' }: { text: string; lang?: string }): string =>
    `<pre><code class="language-${lang}">${text.replace(/&/g, '&amp;').replace(/</g, '&lt;')}</code></pre>`
};
const OPTIONS = { gfm: true, breaks: false, renderer };
const marked = new Marked(OPTIONS);
const marked16 = new Marked16(OPTIONS); // as in Lab 4.5 and before
const markdownIt = new MarkdownIt({ html: true, linkify: true });
const READERS: Readonly<Record<string, (text: string) => string>> = {
  marked: text => marked.parse(text, { async: false }),
  Lab: text => labs(text, each => marked.parse(each, { async: false })),
  'Lab 4.5': text => labs(text, each => marked16.parse(each, { async: false })),
  'markdown-it': text => markdownIt.render(text)
};

/** Lab takes maths out of the text before it reads it, and puts it back into the HTML. */
function labs(markdown: string, read: (text: string) => string): string {
  const { text, math } = removeMath(markdown);
  math.push(...Array.from({ length: 9 }, () => '')); // for text that only looks like a place of maths
  return replaceMath(read(text), math);
}

const ELEMENTS = new Set(
  (
    'HTML HEAD BODY P H1 H2 H3 H4 H5 H6 UL OL LI BLOCKQUOTE PRE CODE EM STRONG DEL S A HR BR TABLE THEAD TBODY TR ' +
    'TH TD INPUT IMG'
  ).split(' ')
);
const ATTRIBUTES = /^(?:href|class|start|title|alt|src|type|checked|disabled|align|style)$/;
const VALUES: Readonly<Record<string, RegExp>> = {
  class: /^(?!language-mermaid)/i,
  href: /^(?:(?:https?|mailto|ftp):|#|data:image\/png;)/i, // a link to an image shows it, and nothing else
  src: /^data:image\/(?:png|jpeg|gif|webp);/i,
  style: /^text-align: ?(?:left|right|center)$/,
  type: /^checkbox$/
};

/** What is in HTML that may run, load, or lead elsewhere than to the web. */
function harms(html: string): string[] {
  return [...new DOMParser().parseFromString(html, 'text/html').querySelectorAll('*')].flatMap(node => [
    ...(ELEMENTS.has(node.tagName) ? [] : [node.tagName]),
    ...[...node.attributes]
      .filter(({ name, value }) => !ATTRIBUTES.test(name) || VALUES[name]?.test(value) === false)
      .map(({ name, value }) => `${node.tagName} ${name}=${value}`)
  ]);
}

it.each(golden('escape').map(each => [each.name, each] as const))(
  'escapes the golden case: %s',
  (_, { markdown, escaped }) => {
    expect(escapeHtml(markdown)).toBe(escaped);
    expect(escapeHtml(escaped)).toBe(escaped);
  }
);

it('makes every attack harmless in every reader', () => {
  for (const markdown of ATTACKS) {
    for (const [name, read] of Object.entries(READERS)) {
      expect([name, markdown, ...harms(read(escapeHtml(markdown)))]).toEqual([name, markdown]);
    }
  }
});

it('is needed: every reader shows unescaped attacks', () => {
  for (const read of Object.values(READERS)) {
    expect(harms(read('a <x-bad> b'))).toEqual(['X-BAD']);
    expect(ATTACKS.filter(markdown => harms(read(markdown)).length > 0).length).toBeGreaterThan(20);
  }
});

it('makes random mixtures of attacks harmless, and is idempotent', () => {
  const random = seeded(2);
  const pieces = ATTACKS.flatMap(text => text.split(/(?<=\n)|(?=[`~$[<!])/));
  const any = (): string => pieces[Math.floor(random() * pieces.length)] ?? '';
  for (let n = 0; n < 150; n++) {
    const markdown = Array.from({ length: 2 + Math.floor(random() * 20) }, any).join('');
    const saved = escapeHtml(markdown);
    expect(escapeHtml(saved)).toBe(saved);
    for (const [name, read] of Object.entries(READERS)) {
      expect([name, markdown, ...harms(read(saved))]).toEqual([name, markdown]);
    }
  }
}, 30_000);

it.each([
  '`',
  '``a`',
  '![',
  '](',
  '[',
  '[a\n',
  '$',
  '\\',
  '<b> ` ',
  'a\n```\n',
  '![a](https://a.b "',
  '\\begin{a}',
  '`<b>`'
])('takes linear time for %j', async piece => {
  const text = piece.repeat(400_000 / piece.length);
  expect(await cpuTime(() => escapeHtml(text))).toBeLessThan(5000);
});
