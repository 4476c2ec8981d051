/**
 * Sanitizes a model's HTML: it has no effect by itself and looks like nothing but text.
 *
 * A sanitizer takes out scripts. What is left could still tell another site that the answer was read, be taken for a
 * part of this page, or lie over one. So only what Markdown is made of stays. The rest is taken out where nothing can
 * load, in a document without a window, before the page sees it.
 */

import { drawProblemOfUri } from './pixels';

/** As much of Lab's sanitizer as is used: this file also lives outside Lab. */
interface Sanitizer {
  sanitize(dirty: string, options?: object): string;
}

/** The elements of an answer. Of any other its content stays. */
export const TAGS = (
  'a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 ' +
  'h4 h5 h6 hr i img input ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub summary sup table ' +
  'tbody td tfoot th thead time tr u ul var wbr'
).split(' ');
/** Their attributes: no looks, no names, no roles and nothing that takes the focus. */
export const ATTRIBUTES =
  'align alt checked class colspan dir disabled href lang open reversed rowspan src start type'.split(' ');
/** A diagram that Lab has drawn is as wide as it says. */
const OF_IMAGES = ['width', 'height'];
/** The classes of code that Lab has coloured and of a diagram that it has drawn. */
const CLASS = /^(ͼ[0-9a-z]+|mermaid|jp-RenderedMermaid(-Details|-Summary)?|jp-mod-warning)$/;
/** Attributes of elements that are there to show what they load. */
const LOADS = ['src', 'srcset', 'poster', 'data'];
/** A image in the text itself; its pixels are counted. */
const INLINE_IMAGE = /^data:image\/[a-z]+;base64,/i;
/** An address without a site would be one of this server, asked with the reader's cookie; `http:/lab` is one too. */
const ELSEWHERE = /^(https?:\/\/|mailto:)/i;

/** Which images may be drawn, besides those that are small images in the text itself. */
export interface Images {
  /** Those of other sites. */
  remote?: boolean;
  /** SVGs. A few lines of SVG can keep a browser busy forever: only those that Lab has drawn. */
  drawings?: boolean;
}

/** Sanitize HTML and remove all that would load something or look like a part of the page. */
export function sanitize(sanitizer: Sanitizer, images: Images): Sanitizer & { readonly allowNamedProperties: false } {
  return {
    sanitize: (dirty, options) => withoutLoading(sanitizer.sanitize(dirty, options), images),
    allowNamedProperties: false
  };
}

/** Return HTML with all that loads from elsewhere turned into links. */
export function withoutLoading(html: string, images: Images = {}): string {
  const { body } = new DOMParser().parseFromString(`<body>${html}`, 'text/html');
  disarm(body, images);
  return body.innerHTML;
}

/** The same of an element's content, which must not be in a page yet. */
export function disarm(body: HTMLElement, images: Images = {}): void {
  for (const node of body.querySelectorAll('*')) {
    if (LOADS.some(name => node.hasAttribute(name)) && !mayLoad(node, images)) {
      node.replaceWith(inPlaceOf(node, body.ownerDocument));
    } else if (!(node instanceof HTMLElement) || !TAGS.includes(node.localName) || isControl(node)) {
      unwrap(node);
    } else {
      strip(node);
    }
  }
  disarmLinks(body);
}

/** Of the links in an element, leave those that lead to another site or a mailbox, from a tab of their own. */
export function disarmLinks(root: HTMLElement): void {
  for (const node of root.querySelectorAll('[href]')) {
    if (node instanceof HTMLAnchorElement && ELSEWHERE.test(node.getAttribute('href') ?? '')) {
      node.target = '_blank';
      node.rel = 'noopener noreferrer nofollow';
    } else {
      node.removeAttribute('href');
    }
  }
}

/** Each node is moved once, since those around it come before it. */
function unwrap(node: Element): void {
  while (node.firstChild !== null) {
    node.before(node.firstChild);
  }
  node.remove();
}

/** A box of a list of tasks is for looking at. */
function isControl(node: HTMLElement): boolean {
  return node.localName === 'input' && node.getAttribute('type')?.toLowerCase() !== 'checkbox';
}

function strip(node: HTMLElement): void {
  for (const name of node.getAttributeNames()) {
    if (!ATTRIBUTES.includes(name) && !(node.localName === 'img' && OF_IMAGES.includes(name))) {
      node.removeAttribute(name);
    }
  }
  if (node.hasAttribute('class')) {
    node.className = [...node.classList].filter(name => CLASS.test(name)).join(' ');
    if (node.className === '') {
      node.removeAttribute('class');
    }
  }
  if (node.localName === 'input') {
    node.setAttribute('disabled', '');
  }
}

function mayLoad(node: Element, { remote, drawings }: Images): boolean {
  if (node.tagName !== 'IMG' || LOADS.some(name => name !== 'src' && node.hasAttribute(name))) {
    return false;
  }
  const source = node.getAttribute('src') ?? '';
  if (/^data:image\/svg/i.test(source)) {
    return drawings === true;
  }
  if (/^data:/i.test(source)) {
    return INLINE_IMAGE.test(source) && drawProblemOfUri(source) === '';
  }
  // Never from this server, with any setting: a GET with the reader's cookie is not a model's to make.
  return remote === true && /^https?:\/\//i.test(source) && !isOurs(source);
}

function isOurs(url: string): boolean {
  return !URL.canParse(url) || new URL(url).host === window.location.host;
}

/** A link that shows where it leads, or the words that stood for the image. */
function inPlaceOf(node: Element, page: Document): Node {
  const source = node.getAttribute('src') ?? '';
  const words = node.getAttribute('alt') ?? '';
  if (!/^https?:\/\//i.test(source)) {
    return page.createTextNode(words);
  }
  const link = page.createElement('a');
  link.href = source;
  link.className = 'jp-bgstream-image';
  link.textContent = words === '' ? source : `${words} (${source})`;
  return link;
}
