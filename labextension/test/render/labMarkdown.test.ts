// @vitest-environment jsdom
import { describe, expect, it, vi } from 'vitest';

import { safeMarkdown } from '../../src/render/labMarkdown';

// Lab's packages want these when they load; jsdom has none.
vi.hoisted(() => {
  vi.stubGlobal('DragEvent', class extends Event {});
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => undefined }));
});

const LINK = '<a href="https://x.org/" target="_blank" rel="noopener noreferrer nofollow">x</a>';

/** Lab's renderer with a parser that takes HTML, and with one that sets formulas late; `drawn` is what the parser makes of it. */
async function rendered(html: string, late = '', drawn?: string): Promise<string> {
  const host = document.createElement('div');
  let set = Promise.resolve();
  const markdown = safeMarkdown(
    {
      sanitizer: { sanitize: dirty => dirty },
      markdownParser: { render: source => Promise.resolve(drawn ?? source) },
      latexTypesetter: {
        typeset: node => {
          set = Promise.resolve().then(() => node.insertAdjacentHTML('beforeend', late));
          return set as unknown as undefined; // as Lab's does
        }
      }
    },
    () => false
  );
  await markdown.render(host, html);
  await set;
  await Promise.resolve();
  return host.innerHTML;
}

describe("Lab's Markdown", () => {
  it('gives headings no id and no link to themselves', async () => {
    expect(await rendered('<h1 id="main">main</h1><h2>jp-main-dock-panel</h2>')).toBe(
      '<h1>main</h1><h2>jp-main-dock-panel</h2>'
    );
  });

  it('opens links in a tab of their own, without a referrer', async () => {
    expect(await rendered('<a href="https://x.org/" rel="opener" target="_top">x</a>')).toBe(LINK);
  });

  it.each([
    ['an SVG', '<img src="data:image/svg+xml,x">', 0],
    ['an SVG by another name', '<image src="data:image/svg+xml,x">', 0],
    ['an SVG beside a diagram', '```mermaid\na\n```\n<img src="data:image/svg+xml,x">', 0],
    ['an SVG of Markdown beside a diagram', '![a](x)\n\n~~~ mermaid\na\n~~~', 0],
    ['a diagram', '```mermaid\ngraph LR\na-->b\n```', 1]
  ])('draws an SVG only where it must be a diagram of Lab: %s', async (_, source, drawn) => {
    expect((await rendered(source, '', '<img src="data:image/svg+xml,x">')).match(/<img/g)?.length ?? 0).toBe(drawn);
  });

  it('removes links to this server from formulas, which are typeset later', async () => {
    const late =
      '<a href="/logout">a</a><a href="https://x.org/">x</a><math><mrow href="https://x.org/"></mrow></math>';
    expect(await rendered('$x$', late)).toBe(`<span>$x$</span><a>a</a>${LINK}<math><mrow></mrow></math>`);
  });
});
