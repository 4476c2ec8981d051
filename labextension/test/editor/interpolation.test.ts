import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { filledRanges } from '../../src/editor/interpolation';
import { cpuTime } from '../cpu';

const TESTS = new URL('../../../tests/', import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL('golden/prompts.json', TESTS), 'utf-8')) as {
  cases: { prompt: string; filled: string[] }[];
};
const pasted = readdirSync(new URL('client/pasted/', TESTS)).flatMap(name =>
  readFileSync(new URL(`client/pasted/${name}`, TESTS), 'utf-8')
    .replace(/\n$/, '')
    .split('\n=====\n')
    .map((snippet, number) => ({ name: `${name}-${number}`, snippet }))
);

function marked(prompt: string, everywhere = false): string[] {
  return filledRanges(prompt, everywhere).map(({ from, to }) => prompt.slice(from, to));
}

describe('filledRanges', () => {
  it.each(cases)('marks expressions in $prompt', ({ prompt, filled }) => {
    expect(marked(prompt)).toEqual(filled.map(source => `{${source}}`));
  });

  it.each(pasted)('marks nothing in the pasted code of $name', ({ snippet }) => {
    expect(marked(snippet)).toEqual([]);
    expect(marked(`What does this do?\n\n${snippet}`)).toEqual([]);
    expect(marked(`Explain to {reader}:\n\n${snippet}\n\nUse {n} words.`)).toEqual(['{reader}', '{n}']);
  });

  it('marks expressions in code when all is filled in', () => {
    expect(marked('f"{name}" {{x}} {{{y}}} {a, b} {"a": 1} {return x} {it is} {a|b} {x > 0}', true)).toEqual([
      '{name}',
      '{y}'
    ]);
    expect(
      marked(String.raw`\textbf{{{name}}} x_{i} {d['k']} {f(a, b=1)[0]:>5} {x!r} {-n} {'a' 'b'.join(c)}`, true)
    ).toEqual(['{name}', '{i}', "{d['k']}", '{f(a, b=1)[0]:>5}', '{x!r}', '{-n}', "{'a' 'b'.join(c)}"]);
  });

  it('takes linear time', async () => {
    for (const unit of ['{', '{a', '{a}', '{a}\n', '`{a} $x ', '({a} [', '<a {b} ', '\t{a}\n', '"', 'a/', '\\', ' ']) {
      const text = unit.repeat(100_000 / unit.length) + '{a}';
      expect(await cpuTime(() => filledRanges(text))).toBeLessThan(5000);
    }
  });
});
