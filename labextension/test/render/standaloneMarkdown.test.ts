// @vitest-environment jsdom
import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { markdown } from '../../src/render/standaloneMarkdown';
import { cpuTime } from '../cpu';

const HOSTILE = '../tests/browser/hostile/';
const LINK = ' target="_blank" rel="noopener noreferrer nofollow"';

async function rendered(text: string): Promise<HTMLElement> {
  const host = document.createElement('div');
  await markdown.render(host, text);
  return host;
}

async function html(text: string): Promise<string> {
  return (await rendered(text)).innerHTML.trim();
}

/** What of an element should not be there: the same list as in the browser's tests, as far as there is no layout. */
function wrong(root: HTMLElement): string[] {
  const tags = new Set(
    (
      'A ABBR B BLOCKQUOTE BR CAPTION CITE CODE COL COLGROUP DD DEL DETAILS DFN DIV DL DT EM FIGCAPTION FIGURE H1 H2 ' +
      'H3 H4 H5 H6 HR I IMG INPUT INS KBD LI MARK OL P PRE Q RP RT RUBY S SAMP SMALL SPAN STRONG SUB SUMMARY SUP TABLE ' +
      'TBODY TD TFOOT TH THEAD TIME TR U UL VAR WBR'
    ).split(' ')
  );
  const names =
    /^(align|alt|checked|class|colspan|dir|disabled|href|lang|open|rel|reversed|rowspan|src|start|target|type)$/;
  return [...root.querySelectorAll('*')].flatMap(node => [
    ...(tags.has(node.tagName) ? [] : [node.tagName]),
    ...[...node.attributes].flatMap(({ name, value }) =>
      !names.test(name) ||
      (name === 'href' && !/^(https?:|mailto:)/i.test(value)) ||
      (name === 'src' && !/^data:image\//i.test(value)) ||
      (name === 'class' && value !== 'jp-bgstream-image') ||
      (name === 'type' && value !== 'checkbox')
        ? [`${node.tagName} ${name}=${value}`]
        : []
    )
  ]);
}

/** The header of a GIF of one pixel. */
const DOT = `data:image/gif;base64,${btoa('GIF89a\x01\0\x01\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0')}`;

describe('Markdown for a page without Lab', () => {
  it.each([
    ['**a** `b`', '<p><strong>a</strong> <code>b</code></p>'],
    ['```js\nif (a < b) {}\n```', '<pre><code>if (a &lt; b) {}\n</code></pre>'],
    ['- [x] done', '<ul>\n<li><input checked="" disabled="" type="checkbox"> done</li>\n</ul>'],
    ['<https://x.org/a>', `<p><a href="https://x.org/a"${LINK}>https://x.org/a</a></p>`],
    ['[a](javascript:hit())', '<p><a>a</a></p>'],
    ['[a](/logout) [b](#c)', '<p><a>a</a> <a>b</a></p>'],
    ['<script>hit()</script>a', 'a'],
    ['a <b onclick=hit() style="position:fixed" class="jp-x" id="y">c</b>', '<p>a <b>c</b></p>'],
    [`![a](${DOT})`, `<p><img src="${DOT}" alt="a"></p>`],
    ['![a](data:image/png;base64,AA)', '<p>a</p>'],
    ['![a](data:image/svg+xml;base64,AAAA)', '<p>a</p>'],
    ['<iframe src="https://x.org"></iframe><button>b</button>', 'b'],
    ['<svg><style><img src=x onerror=hit()></style></svg>a', '<p>a</p>'],
    ['<form action="/x"><input name="p"><select><option>o</select></form>', 'o']
  ])('%s', async (text, expected) => expect(await html(text)).toBe(expected));

  it('shows where a remote image is, and does not load it', async () => {
    expect(await html('![a](https://x.org/i.png)')).toContain('<a href="https://x.org/i.png"');
    expect(await html('![a](https://x.org/i.png)')).not.toContain('<img');
  });

  it.each(['$a_i b_i$', '$$\na_i * b_i * c\n$$'])('leaves the formula %s', async text =>
    expect((await rendered(text)).textContent.trim()).toBe(text)
  );

  it('writes brackets as dollars', async () =>
    expect((await rendered('\\(x_1\\) and \\[x_2 < y_2\\]')).textContent.trim()).toBe('$x_1$ and $$x_2 < y_2$$'));

  it('finds no formula in prices', async () =>
    expect(await html('$5 *and* $6')).toBe('<p><span>$</span>5 <em>and</em> <span>$</span>6</p>'));

  it.each(['\\('.repeat(20_000), '$'.repeat(20_001), '$$a'.repeat(5_000)])(
    'takes bounded time for %.12s…',
    async text => {
      expect(await cpuTime(() => html(text))).toBeLessThan(3000);
    }
  );

  const cases = readdirSync(HOSTILE).filter(name => name.endsWith('.md'));
  it.each(cases)('removes everything from %s that runs or loads', async name => {
    const text = readFileSync(HOSTILE + name, 'utf8');
    expect(text).toContain('hit');
    expect(wrong(await rendered(text))).toEqual([]);
    // Nor of any beginning, as it is seen while it comes.
    for (let end = 1; end < text.length; end += Math.ceil(text.length / 60)) {
      expect(wrong(await rendered(text.slice(0, end)))).toEqual([]);
    }
  });
});
