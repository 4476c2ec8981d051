// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import { clipped, collapsedText, isolated, LongList, sentence } from '../../src/render/boundedText';

describe('an untrusted line', () => {
  it('stays unchanged, or ends with an ellipsis where it was cut', () => {
    expect(clipped('a short one')).toBe('a short one');
    expect(clipped('x'.repeat(1_000_000))).toBe(`${'x'.repeat(299)}…`);
    expect(clipped('😀'.repeat(3), 4)).toBe('😀…');
  });

  it('does not change the direction of text beside it', () => {
    expect(isolated('\u202emoc\u2069\u2066')).toBe('\u2068moc\u2069');
  });
});

describe('an untrusted sentence', () => {
  it('is shown, and collapsed if it is very long', () => {
    expect(sentence('It failed.')).toEqual(['It failed.']);
    const text = 'It failed. '.repeat(1000);
    const [first, whole] = sentence(text) as [string, HTMLDetailsElement];
    expect(first).toHaveLength(2000);
    expect(whole.textContent).toBe('All of it (11,000 characters)');
    whole.dispatchEvent(new Event('toggle'));
    expect(whole.lastElementChild!.textContent).toBe(text);
  });
});

describe('a collapsed text', () => {
  it('is not drawn before it is opened, if it is long', () => {
    const drawn: string[] = [];
    const draw = (text: string): string => {
      drawn.push(text);
      return 'drawn';
    };
    expect(collapsedText('tool', 'A tool', '{}', draw).textContent).toBe('A tooldrawn');
    const long = collapsedText('tool', 'A tool', 'x'.repeat(3000), draw);
    expect(long.textContent).toBe('A tool');
    long.dispatchEvent(new Event('toggle'));
    expect([long.textContent, drawn.length]).toEqual(['A tooldrawn', 2]);
  });
});

describe('a long list', () => {
  const open = (): LongList<{ n: number }> =>
    new LongList('sources', 'ol', ({ n }) => {
      const item = document.createElement('li');
      item.textContent = String(n);
      return item;
    });
  const items = Array.from({ length: 10_000 }, (_, n) => ({ n }));
  const count = ({ node }: LongList<{ n: number }>): number => node.querySelectorAll('li').length;

  it('shows its beginning, and more with each click', () => {
    const list = open();
    list.show(items);
    expect([count(list), list.more.hidden, list.more.textContent]).toEqual([100, false, 'Show more (9,900 left)']);
    list.more.click();
    expect([count(list), list.more.textContent]).toEqual([600, 'Show more (9,400 left)']);
    expect([...list.node.querySelectorAll('ol')].map(({ start }) => start).slice(0, 3)).toEqual([1, 11, 21]);
  });

  it('keeps drawn items when it grows, and is redrawn for other items', () => {
    const list = open();
    list.show(items.slice(0, 30));
    const [first] = list.node.querySelectorAll('li');
    list.show(items.slice(0, 50));
    expect([list.node.querySelector('li') === first, count(list), list.more.hidden]).toEqual([true, 50, true]);
    list.show(items.slice(1, 3));
    expect(list.node.textContent).toBe('12');
    list.show([]);
    expect([count(list), list.node.hidden]).toEqual([0, true]);
  });
});
