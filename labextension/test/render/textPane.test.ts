// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { TextPane } from '../../src/render/textPane';
import { fakeScreen, frames, SlowMarkdown } from '../dom';
import { seeded } from '../random';

let markdown: SlowMarkdown;
let pane: TextPane;

beforeEach(() => {
  vi.useFakeTimers();
  markdown = new SlowMarkdown();
  pane = new TextPane(markdown, () => undefined);
});

afterEach(async () => {
  pane.dispose();
  await frames(1000); // the scheduler is shared by all tests: it must not wait for a frame that never comes
  vi.useRealTimers();
});

const shown = (): string => pane.node.textContent;

describe('the drawn text', () => {
  it('is the whole text in the end, in order', async () => {
    const random = seeded(3);
    const text = 'Intro.\n\n```py\nx = 1\n\ny = 2\n```\nAfter.\n\n- a\n\n- b\n\nEnd of it.';
    for (let at = 0; at < text.length; at += 1 + Math.floor(random() * 9)) {
      pane.set(text.slice(0, at), false);
      await frames(Math.floor(random() * 150));
    }
    pane.set(text, true);
    await frames();
    expect(shown()).toBe(text);
    expect(pane.isComplete).toBe(true);
    expect(markdown.mostAtOnce).toBe(1);
  });

  it('renders a finished block once', async () => {
    pane.set('One.\n\nTwo.\n\n', false);
    await frames();
    for (let n = 0; n < 20; n++) {
      pane.set(`One.\n\nTwo.\n\nThree${'!'.repeat(n)}`, false);
      await frames();
    }
    expect(markdown.rendered.filter(text => text === 'One.\n\n')).toHaveLength(1);
  });

  it('is updated at most every 100 ms', async () => {
    for (let n = 1; n <= 100; n++) {
      pane.set('x'.repeat(n), false);
      await frames(10);
    }
    expect(markdown.rendered.length).toBeLessThanOrEqual(11);
  });

  it('shows an open fence as plain text that grows, and renders it when it closes', async () => {
    pane.set('Look:\n\n```py\na = 1\n', false);
    await frames();
    const code = pane.node.querySelector('pre > code')!;
    expect(code.textContent).toBe('a = 1\n');
    pane.set('Look:\n\n```py\na = 1\nb = 2\n``', false);
    await frames();
    expect(code.textContent).toBe('a = 1\nb = 2\n``');
    expect(markdown.rendered).toEqual(['Look:\n\n']);
    pane.set('Look:\n\n```py\na = 1\nb = 2\n```\n', false);
    await frames();
    expect(markdown.rendered.at(-1)).toBe('```py\na = 1\nb = 2\n```\n');
    expect(pane.node.querySelector('pre')).toBeNull();
  });

  it('leaves a huge fence plain', async () => {
    pane.set(`\`\`\`\n${'x = 1\n'.repeat(20_000)}\`\`\`\n`, true);
    await frames();
    expect(markdown.rendered).toEqual([]);
    expect(shown()).toBe('x = 1\n'.repeat(20_000));
  });

  it('renders the whole once at the end where parts may look different', async () => {
    pane.set('See [a].\n\nMore.\n\n[a]: https://example.org', false);
    await frames();
    pane.set('See [a].\n\nMore.\n\n[a]: https://example.org\n', true);
    await frames();
    expect(markdown.rendered.filter(text => text.startsWith('See') && text.endsWith('org\n'))).toHaveLength(1);
    expect(shown()).toBe('See [a].\n\nMore.\n\n[a]: https://example.org\n');
  });

  it('is replaced by another text, and stays until that is drawn', async () => {
    pane.set('saved text', true);
    await frames();
    pane.set('the log', false);
    expect(shown()).toBe('saved text');
    await frames();
    expect(shown()).toBe('the log');
    pane.set('the log says more', true);
    await frames();
    expect(shown()).toBe('the log says more');
  });

  it('can become empty', async () => {
    pane.set('saved', true);
    await frames();
    pane.set('', true);
    await frames();
    expect(shown()).toBe('');
    expect(pane.isComplete).toBe(true);
  });

  it('is plain text with a note where rendering would block the page', async () => {
    const table = `|${'a|'.repeat(1500)}\n|${'-|'.repeat(1500)}\n${'|x\n'.repeat(4000)}`;
    for (let at = 0; at < table.length; at += 2000) {
      pane.set(`Before.\n\n${table.slice(0, at)}`, false);
      await frames();
    }
    pane.set(`Before.\n\n${table}\nAfter.`, true);
    await frames();
    expect(markdown.rendered.every(text => text.length < 8000)).toBe(true);
    expect(markdown.rendered).toContain('After.');
    const [before, block, after] = pane.node.querySelectorAll('.jp-bgstream-block');
    expect([before!.textContent, after!.textContent]).toEqual(['Before.\n\n', 'After.']);
    expect(block!.firstChild!.textContent).toMatch(/^Shown as plain text/);
    expect(block!.lastChild!.textContent).toBe(`${table}\n`);
    expect(pane.isComplete).toBe(true);
  });

  it('is plain text only where rendering fails', async () => {
    const warned = vi.spyOn(console, 'warn').mockReturnValue();
    const render = markdown.render.bind(markdown);
    vi.spyOn(markdown, 'render').mockImplementation((host, text) =>
      text.startsWith('Bad') ? Promise.reject(new RangeError('Maximum call stack size exceeded')) : render(host, text)
    );
    pane.set('Good.\n\nBad.\n\nGood again.\n\nBad at the end.', true);
    await frames();
    expect([...pane.node.querySelectorAll('.jp-bgstream-block')].map(({ textContent }) => textContent)).toEqual([
      'Good.\n\n',
      expect.stringMatching(/^Shown as plain text.*Bad\.\n\n$/s),
      'Good again.\n\n',
      expect.stringMatching(/^Shown as plain text.*Bad at the end\.$/s)
    ]);
    expect(pane.isComplete).toBe(true);
    expect(warned).toHaveBeenCalledTimes(2);
  });

  it('is drawn in parts where the whole or a part would block the page', async () => {
    const quotes = `${'> '.repeat(60)}deep`;
    const text = `See [a].\n\n${quotes}\n\n[a]: https://example.org`;
    pane.set(text, true);
    await frames();
    expect(markdown.rendered).not.toContain(text);
    expect(shown()).toContain(quotes);
    expect(shown()).toMatch(/^See \[a\].*Drawn in parts/s);
  });

  it.each(['', '[a]: b\n\n'])('is plain text after the limit of one answer', async start => {
    const text = `${start}${`${'*a* *b* *c* '.repeat(200)}\n\n`.repeat(40)}The end.`;
    pane.set(text.slice(0, 80_000), false);
    await frames();
    pane.set(text, true);
    await frames();
    expect(markdown.rendered.length).toBeLessThan(35);
    expect(shown().replace(/Shown as plain text from here on: [^.]*\./, '')).toBe(text);
    expect(pane.isComplete).toBe(true);
  });

  it('is rendered without delaying frames', async () => {
    const render = markdown.render.bind(markdown);
    vi.spyOn(markdown, 'render').mockImplementation((host, text) => {
      vi.advanceTimersByTime(10); // the clock advances while the page is blocked
      return render(host, text);
    });
    let longest = 0;
    let since = performance.now();
    const beat = setInterval(() => {
      longest = Math.max(longest, performance.now() - since);
      since = performance.now();
    });
    pane.set('Some words.\n\n'.repeat(300), true);
    await frames(6000);
    clearInterval(beat);
    expect(pane.isComplete).toBe(true);
    expect(longest).toBeLessThan(100);
  });
});

describe('out of sight', () => {
  const table = `| a | b |\n|---|---|\n${'| 1 | 2 |\n'.repeat(100)}\n`;
  let screen: ReturnType<typeof fakeScreen>;

  beforeEach(() => {
    screen = fakeScreen();
    pane.dispose();
    pane = new TextPane(markdown, () => undefined);
  });
  afterEach(() => vi.unstubAllGlobals());

  it('a short text is drawn', async () => {
    pane.set('One.\n\nTwo.', true);
    await frames();
    expect(pane.isComplete).toBe(true);
    expect(markdown.rendered).toEqual(['One.\n\n', 'Two.']);
  });

  it('a costly text is plain, and drawn when it comes into sight', async () => {
    const text = `One.\n\n${table}End.`;
    pane.set(text, true);
    await frames();
    expect(markdown.rendered).toEqual(['One.\n\n']);
    screen.intersect(false);
    await frames();
    expect(pane.isComplete).toBe(false);
    expect(markdown.rendered).toEqual(['One.\n\n']);
    expect(shown()).toBe(text);
    screen.intersect(true);
    await frames();
    expect(pane.isComplete).toBe(true);
    expect(markdown.rendered).toEqual(['One.\n\n', table, 'End.']);
    expect(shown()).toBe(text);
    expect(pane.node.querySelector('.jp-bgstream-asis')).toBeNull();
  });

  it('a growing text continues as plain text after the reader scrolls away', async () => {
    const fence = `\`\`\`py\n${'x = 1\n'.repeat(100)}`;
    screen.intersect(true);
    pane.set(`One.\n\n${fence}`, false);
    await frames();
    screen.intersect(false);
    for (const text of [`One.\n\n${fence}\`\`\`\nTwo`, `One.\n\n${fence}\`\`\`\nTwo, three.\n\n${table}`]) {
      pane.set(text, false);
      await frames();
      expect(shown()).toBe(text);
      expect(markdown.rendered).toEqual(['One.\n\n']);
    }
    const text = `One.\n\n${fence}\`\`\`\nTwo, three.\n\n${table}End.`;
    pane.set(text, true);
    screen.intersect(true);
    await frames();
    expect(shown()).toBe(text);
    expect(pane.isComplete).toBe(true);
  });

  it('links that are defined elsewhere are resolved when the text comes into sight', async () => {
    const text = `${table}[a]\n\n[a]: https://a.example\n`;
    pane.set(text, true);
    screen.intersect(false);
    await frames();
    expect(markdown.rendered).toEqual([]);
    screen.intersect(true);
    await frames();
    expect(markdown.rendered.at(-1)).toBe(text);
    expect(pane.isComplete).toBe(true);
  });
});
