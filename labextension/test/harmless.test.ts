// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import { withoutLoading } from '../src/harmless';

const LINK = ' rel="noopener noreferrer nofollow" target="_blank" class="jp-bgstream-image"';

describe('without remote images', () => {
  it.each([
    ['<img src="http://x.org/a.png">', `<a href="http://x.org/a.png"${LINK}>http://x.org/a.png</a>`],
    ['<img alt="A" src="https://x.org/a">', `<a href="https://x.org/a"${LINK}>A (https://x.org/a)</a>`],
    ['<img alt="A" src="//x.org/a">', 'A'],
    ['<img alt="A" src="api/shutdown">', 'A'],
    ['<img alt="A" src="data:image/png;base64,AA">', '<img alt="A" src="data:image/png;base64,AA">'],
    ['<img src="data:image/png;base64,AA" srcset="http://x.org/a 2x">', ''],
    ['<img src="data:text/html,x" alt="">', ''],
    ['<video src="http://x.org/v" poster="p"></video>', `<a href="http://x.org/v"${LINK}>http://x.org/v</a>`],
    ['<picture><source srcset="http://x.org/a"></picture>', '<picture></picture>'],
    ['<table background="http://x.org/a"></table>', '<table></table>'],
    ['<p style="background: URL(http://x.org)">a</p>', '<p>a</p>'],
    ['<p style="background: u\\72l(http://x.org)">a</p>', '<p>a</p>'],
    ['<p style="color: red">a</p>', '<p style="color: red">a</p>'],
    ['<a href="https://x.org" ping="https://y.org">a</a>', '<a href="https://x.org">a</a>'],
    ['<p data-commandlinker-command="x" id="y" name="z">a</p>', '<p>a</p>'],
    ['<p>a &lt;b&gt;</p>', '<p>a &lt;b&gt;</p>'],
    ['<a href="/logout">x</a>', '<a>x</a>'],
    ['<a href="//evil.example/x">x</a>', '<a>x</a>'],
    ['<a href="http:/logout">x</a>', '<a>x</a>'],
    ['<a href="HTTP:logout">x</a>', '<a>x</a>'],
    ['<a href="https://x.org/">x</a>', '<a href="https://x.org/">x</a>'],
    ['<form action="/x">a <button>send</button><textarea>b</textarea><input></form>', 'a sendb'],
    ['<input type="checkbox" disabled="">', '<input type="checkbox" disabled="">']
  ])('%s', (html, expected) => expect(withoutLoading(html, false)).toBe(expected));
});

describe('with remote images', () => {
  it('those of other sites load, as themselves', () => {
    expect(withoutLoading('<img src="https://x.org/a.png">', true)).toBe('<img src="https://x.org/a.png">');
  });

  it.each([
    '<img src="/api/x">',
    `<img src="${window.location.origin}/hub/logout">`,
    '<video src="https://x.org/v"></video>'
  ])('not %s', html => expect(withoutLoading(html, true)).not.toMatch(/<(img|video)/));
});
