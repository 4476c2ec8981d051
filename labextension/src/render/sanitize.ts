/**
 * Sanitizes a model's HTML: the result has no effects and looks like text only.
 *
 * A sanitizer removes scripts. The rest could still report to another site that the answer was read, imitate a part of
 * this page, or cover one. So only elements of Markdown stay. The others are removed in a document without a window,
 * where nothing loads, before the page gets the result.
 */

import { drawProblemOfUri } from './imagePixelLimit';

/** The part of Lab's sanitizer that is used here: this file is also used without Lab. */
interface Sanitizer {
  sanitize(dirty: string, options?: object): string;
}

/** Elements of an answer. Other elements are replaced by their content. */
export const TAGS = (
  'a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 ' +
  'h4 h5 h6 hr i img input ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub summary sup table ' +
  'tbody td tfoot th thead time tr u ul var wbr'
).split(' ');
/** Allowed attributes: no styles, names or roles, and none that takes the focus. */
export const ATTRIBUTES =
  'align alt checked class colspan dir disabled href lang open reversed rowspan src start type'.split(' ');
/** A diagram that Lab has drawn is as wide as it says. */
const OF_IMAGES = ['width', 'height'];
/** Classes of code highlighted by Lab and of diagrams drawn by Lab. */
const CLASS = /^(ͼ[0-9a-z]+|mermaid|jp-RenderedMermaid(-Details|-Summary)?|jp-mod-warning)$/;
/** Attributes of elements that load their content. */
const LOADS = ['src', 'srcset', 'poster', 'data'];
/** A data URI of an image; its pixels are counted. */
const INLINE_IMAGE = /^data:image\/[a-z]+;base64,/i;
/** An address without a host would be of this server, requested with the reader's cookie; so would `http:/lab`. */
const ELSEWHERE = /^(https?:\/\/|mailto:)/i;

/** Images that may be drawn in addition to small data URIs. */
export interface Images {
  /** Images of other sites. */
  remote?: boolean;
  /** SVGs. A few lines of SVG can keep a browser busy forever: only those that Lab has drawn. */
  drawings?: boolean;
}

/** Sanitize HTML and remove everything that would load a resource or imitate a part of the page. */
export function sanitize(sanitizer: Sanitizer, images: Images): Sanitizer & { readonly allowNamedProperties: false } {
  return {
    sanitize: (dirty, options) => withoutLoading(sanitizer.sanitize(dirty, options), images),
    allowNamedProperties: false
  };
}

/** Return HTML in which everything that loads from other sites is a link. */
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

/** Keep only links of an element that lead to another site or a mailbox; they open in a new tab. */
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

/** Return whether a node is a control, other than the checkbox of a task list, which is disabled. */
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
  // Never from this server, with any setting: a model must not cause a GET with the reader's cookie.
  return remote === true && /^https?:\/\//i.test(source) && !isOurs(source);
}

function isOurs(url: string): boolean {
  return !URL.canParse(url) || new URL(url).host === window.location.host;
}

/** Return a link with a visible address, or the alternative text of the image. */
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
