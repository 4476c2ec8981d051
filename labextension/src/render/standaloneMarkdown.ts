/**
 * Markdown renderer of a page without Lab: marked, DOMPurify, and then the removal of everything that would load.
 *
 * The output of DOMPurify is changed as elements, in a document without a window, and never serialized and parsed again:
 * the page gets exactly what DOMPurify has parsed.
 */

/*! With marked, (c) 2018-2026 MarkedJS, (c) 2011-2018 Christopher Jeffrey, MIT License, github.com/markedjs/marked */

import DOMPurify, { type Config } from 'dompurify';
import { Marked, type TokenizerAndRendererExtension } from 'marked';

import type { Markdown } from './blockHost';
import { withFormulas } from './formulas';
import { ATTRIBUTES, disarm, TAGS } from './sanitize';
import { TimeSlicer } from './timeSlicer';

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

const ALLOWED = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ATTRIBUTES,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM: true
} satisfies Config;

/** The renderer of a page without the labextension. */
export const markdown: Markdown = {
  render: async (host, text) => {
    const breath = new TimeSlicer();
    const html = marked.parse(withFormulas(text)) as string;
    await breath.pause();
    const body = DOMPurify.sanitize(html, ALLOWED) as HTMLElement;
    disarm(body);
    host.replaceChildren(...body.childNodes);
  }
};
