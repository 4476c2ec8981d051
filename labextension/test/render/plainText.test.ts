// @vitest-environment jsdom
import { expect, it } from 'vitest';

import { PlainText } from '../../src/render/plainText';
import { seeded } from '../random';

const pieces = (growing: PlainText): string[] => [...growing.node.children].map(({ textContent }) => textContent);

it('shows all of a growing text, in pieces that end with a line', () => {
  const random = seeded(5);
  const text = Array.from({ length: 3000 }, (_, n) => `line ${n} ${'x'.repeat(random() * 40)}\n`).join('');
  const growing = new PlainText(document.createElement('div'));
  for (let at = 0; at < text.length; at += random() * 3000) {
    growing.show(text.slice(0, at));
  }
  growing.show(text);
  expect(growing.node.textContent).toBe(text);
  expect(pieces(growing).length).toBeGreaterThan(10);
  expect(pieces(growing).every(piece => piece.endsWith('\n') && piece.length <= 8000)).toBe(true);
});

it('splits a line without an end, but no character', () => {
  const text = `x${'👩'.repeat(20_000)}`;
  const growing = new PlainText(document.createElement('div'));
  growing.show(text);
  expect(growing.node.textContent).toBe(text);
  expect(pieces(growing).every(piece => piece.length <= 8000 && !/[\ud800-\udbff]$/.test(piece))).toBe(true);
});

it('keeps drawn text when it grows, and replaces it by another text', () => {
  const growing = new PlainText(document.createElement('div'));
  growing.show('One');
  const first = growing.node.firstChild!.firstChild;
  growing.show('One and two');
  expect(growing.node.firstChild!.firstChild).toBe(first);
  growing.show('Another');
  expect(pieces(growing)).toEqual(['Another']);
  growing.show('');
  expect(growing.node.textContent).toBe('');
});
