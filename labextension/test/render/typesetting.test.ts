// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import { typeset } from '../../src/render/typesetting';

/** What the typesetter was given. */
async function given(html: string): Promise<string[]> {
  const host = document.createElement('div');
  host.innerHTML = html;
  const before = host.textContent;
  const seen: string[] = [];
  await typeset(host, { typeset: node => seen.push(node.textContent) });
  expect(host.textContent.startsWith(before)).toBe(true);
  return seen;
}

const many = 'Much is said, and more. '.repeat(200);

describe('a formula', () => {
  it('is typeset in one call with all others of a short text', async () => {
    expect(await given('<p>As $a$ and $b$ say.</p>')).toEqual(['As $a$ and $b$ say.']);
  });

  it.each([
    ['$a$', ['$a$']],
    ['$a$ and $$b$$', ['$a$', '$$b$$']],
    ['\\(a\\) and \\[b\\]', ['\\(a\\)', '\\[b\\]']],
    ['\\begin{align*}a &amp; b\\end{align*}', ['\\begin{align*}a & b\\end{align*}']],
    ['$a{$}b$', ['$a{$}b$']],
    ['$a\\$b$', ['$a\\$b$']],
    ['a \\$5 and $b$', ['$b$']],
    ['$$a$b$$', ['$$a$b$$']],
    ['<code>$a$</code> and <b>$b$</b>', ['$b$']],
    ['<pre>$a$</pre>', []],
    ['$a', []]
  ])('%s is typeset alone in a long text', async (html, formulas) => {
    expect(await given(`<p>${many}</p><p>${html}</p><p>${'$x$'.repeat(200)}</p>`)).toEqual([
      ...formulas,
      ...Array.from({ length: 200 }, () => '$x$')
    ]);
  });

  it.each([
    ['that is long', `$$${'\\frac{1}{2}'.repeat(300)}$$`],
    ['that is very long', `$$${'\\frac{1}{2}'.repeat(9000)}$$`],
    ['of many cells', `$$\\begin{matrix}${'a&amp;'.repeat(400)}\\end{matrix}$$`],
    ['with a macro', '$\\def\\a{xxxx}\\a\\a$'],
    ['with a command', '$\\newcommand{\\a}{xxxx}\\a\\a$'],
    ['with an operator', '$\\DeclareMathOperator{\\a}{a}$'],
    ['that loads', '$\\require{physics}$']
  ])('%s is shown as written, and the others are typeset', async (_, formula) => {
    const host = document.createElement('div');
    host.innerHTML = `<p>${formula}</p><p>As $a$ says.</p>`;
    const seen: string[] = [];
    await typeset(host, { typeset: node => seen.push(node.textContent) });
    expect(seen).toEqual(['$a$']);
    expect(host.lastElementChild!.textContent).toBe(
      'Some formulas are shown as written: they are too long, or define macros.'
    );
  });

  it.each(['$\\newline a$', '$\\left( a \\right)$', '$\\defeq$'])(
    'that defines nothing is typeset: %s',
    async formula => {
      expect(await given(formula)).toEqual([formula]);
    }
  );
});
