/**
 * Markdown for a page without Lab: marked, DOMPurify, and then nothing that would load from elsewhere.
 *
 * What DOMPurify returns is changed as elements, in a document without a window, and never written and read as text
 * again: what it has understood is what the page gets.
 */

/*! With marked, (c) 2018-2026 MarkedJS, (c) 2011-2018 Christopher Jeffrey, MIT License, github.com/markedjs/marked */

import DOMPurify, { type Config } from 'dompurify';
import { Marked, type TokenizerAndRendererExtension } from 'marked';

import { disarm } from './harmless';
import type { Markdown } from './text';

/** Formulas stay as they were written, so that Markdown does not take their underscores for emphasis. */
const MATHS =
  /^(?:\$\$[^]{1,2000}?\$\$|\$(?!\s)[^$\n]{1,500}?(?<!\s)\$(?!\d)|\\\([^]{1,2000}?\\\)|\\\[[^]{1,2000}?\\\])/;

const maths: TokenizerAndRendererExtension = {
  name: 'maths',
  level: 'inline',
  start: source => source.search(/\$|\\[([]/),
  tokenizer: source => {
    const raw = MATHS.exec(source)?.[0];
    return raw === undefined ? undefined : { type: 'maths', raw };
  },
  renderer: ({ raw }) => raw.replace(/&/g, '&amp;').replace(/</g, '&lt;')
};

const marked = new Marked({ gfm: true, async: false, extensions: [maths] });

/** What Markdown is made of. A model's answer needs no looks of its own, and no name in this page. */
const ALLOWED = {
  ALLOWED_TAGS: (
    'a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 ' +
    'h4 h5 h6 hr i img input ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub summary sup table ' +
    'tbody td tfoot th thead time tr u ul var wbr'
  ).split(' '),
  ALLOWED_ATTR: 'align alt checked colspan dir disabled href lang open reversed rowspan src start title type'.split(
    ' '
  ),
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM: true
} satisfies Config;

/** The renderer of a page that has none for us. */
export const markdown: Markdown = {
  render: (host, text) => {
    const body = DOMPurify.sanitize(marked.parse(text) as string, ALLOWED) as HTMLElement;
    disarm(body, false);
    for (const link of body.querySelectorAll<HTMLAnchorElement>('a[href]')) {
      if (/^https?:|^mailto:/i.test(link.getAttribute('href') ?? '')) {
        link.target = '_blank';
        link.rel = 'noopener noreferrer nofollow';
      } else {
        link.removeAttribute('href'); // a place in a page that is not the answer's
      }
    }
    host.replaceChildren(...body.childNodes);
    return Promise.resolve();
  }
};
