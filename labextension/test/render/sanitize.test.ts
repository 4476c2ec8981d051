// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import { withoutLoading } from '../../src/render/sanitize';

const AWAY = ' target="_blank" rel="noopener noreferrer nofollow"';
/** The headers of a GIF of one pixel, and of one of very many. */
const DOT = `data:image/gif;base64,${btoa('GIF89a\x01\0\x01\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0')}`;
const BOMB = `data:image/gif;base64,${btoa('GIF89a\x01\0\x01\0\0\0\0\x2c\0\0\0\0\xff\xff\xff\xff')}`;
const LINK = ` class="jp-bgstream-image"${AWAY}`;

describe('without remote images', () => {
  it.each([
    ['<img src="http://x.org/a.png">', `<a href="http://x.org/a.png"${LINK}>http://x.org/a.png</a>`],
    ['<img alt="A" src="https://x.org/a">', `<a href="https://x.org/a"${LINK}>A (https://x.org/a)</a>`],
    ['<img alt="A" src="//x.org/a">', 'A'],
    ['<img alt="A" src="api/shutdown">', 'A'],
    [`<img alt="A" src="${DOT}">`, `<img alt="A" src="${DOT}">`],
    [`<img alt="A" src="${BOMB}">`, 'A'],
    ['<img alt="A" src="data:image/png;base64,AA">', 'A'],
    ['<img alt="A" src="data:image/png;base64,Qk0AAAAA">', 'A'],
    ['<img alt="A" src="data:image/png,%89PNG">', 'A'],
    ['<img alt="A" src="data:image/svg+xml,x">', 'A'],
    ['<img alt="A" src="DATA:IMAGE/SVG;base64,AAAA">', 'A'],
    [`<img src="${DOT}" srcset="http://x.org/a 2x">`, ''],
    ['<img src="data:text/html,x" alt="">', ''],
    ['<video src="http://x.org/v" poster="p"></video>', `<a href="http://x.org/v"${LINK}>http://x.org/v</a>`],
    ['<picture><source srcset="http://x.org/a"></picture>', ''],
    ['<table background="http://x.org/a"></table>', '<table></table>'],
    ['<p style="background: URL(http://x.org)">a</p>', '<p>a</p>'],
    ['<p style="background: u\\72l(http://x.org)">a</p>', '<p>a</p>'],
    ['<a href="https://x.org" ping="https://y.org">a</a>', `<a href="https://x.org"${AWAY}>a</a>`],
    ['<p data-commandlinker-command="x" id="y" name="z">a</p>', '<p>a</p>'],
    ['<p>a &lt;b&gt;</p>', '<p>a &lt;b&gt;</p>'],
    ['<a href="/logout">x</a>', '<a>x</a>'],
    ['<a href="//evil.example/x">x</a>', '<a>x</a>'],
    ['<a href="http:/logout">x</a>', '<a>x</a>'],
    ['<a href="HTTP:logout">x</a>', '<a>x</a>'],
    ['<a href="https://x.org/" target="_self">x</a>', `<a href="https://x.org/"${AWAY}>x</a>`],
    ['<a href="#main">x</a>', '<a>x</a>'],
    ['<form action="/x">a <button>send</button><textarea>b</textarea><input></form>', 'a sendb'],
    ['<input type="checkbox" disabled="">', '<input type="checkbox" disabled="">']
  ])('%s', (html, expected) => expect(withoutLoading(html)).toBe(expected));
});

describe('nothing looks like a part of the page', () => {
  it.each([
    ['<p style="position:fixed;color:red">a</p>', '<p>a</p>'],
    ['<p style="--jp-layout-color0: red">a</p>', '<p>a</p>'],
    ['<div class="jp-Dialog lm-Widget">a</div>', '<div>a</div>'],
    ['<div class="jp-bgstream-view" data-action="stop" data-job="x">a</div>', '<div>a</div>'],
    ['<p role="alert" aria-live="assertive" title="t" tabindex="1" accesskey="s" hidden inert>a</p>', '<p>a</p>'],
    ['<dialog open>a</dialog><section>b</section><font size="7">c</font>', 'abc'],
    [
      '<table width="9" bgcolor="red"><tbody><tr><td height="9" colspan="2">a</td></tr></tbody></table>',
      '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>'
    ],
    ['<svg><a href="https://x.org"><text>a</text></a></svg><math href="https://x.org"><mi>b</mi></math>', 'ab'],
    ['<template><img src="x"></template>', ''],
    ['<input type="CHECKBOX" autofocus>', '<input type="CHECKBOX" disabled="">']
  ])('%s', (html, expected) => expect(withoutLoading(html)).toBe(expected));

  it.each([
    '<pre><code><span class="ͼ1b">a</span></code></pre>',
    '<div class="jp-RenderedMermaid"><figure><img src="data:image/svg+xml,x" width="90"></figure></div>'
  ])("except the output of Lab's own renderers: %s", html =>
    expect(withoutLoading(html, { drawings: true })).toBe(html)
  );

  it('classes that only resemble allowed ones are removed', () => {
    expect(withoutLoading('<b class="ͼ1b xͼ1b ͼ1b- jp-RenderedMermaid-x">a</b>')).toBe('<b class="ͼ1b">a</b>');
  });
});

describe('with remote images', () => {
  it('those of other sites load', () => {
    expect(withoutLoading('<img src="https://x.org/a.png">', { remote: true })).toBe('<img src="https://x.org/a.png">');
  });

  it.each([
    '<img src="/api/x">',
    `<img src="${window.location.origin}/hub/logout">`,
    '<video src="https://x.org/v"></video>'
  ])('those of this site and other elements do not load: %s', html =>
    expect(withoutLoading(html, { remote: true })).not.toMatch(/<(img|video)/)
  );
});
