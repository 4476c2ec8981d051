/**
 * What a model wrote, as HTML that does nothing by itself.
 *
 * Lab's sanitizer takes out scripts. What is left could still tell another site that the answer was read, or carry
 * parts of it there in an address: images, media, styles. They are taken out where nothing can load, in a document
 * without a window, before the page sees them.
 */

/** As much of Lab's sanitizer as is used: this file also lives outside Lab. */
interface Sanitizer {
  sanitize(dirty: string, options?: object): string;
}

/** Attributes of elements that are there to show what they load. */
const LOADS = ['src', 'srcset', 'poster', 'data'];
/** Attributes that a model's answer has no use for: they load, call home, or take a name of this page. */
const NEVER = ['background', 'ping', 'id', 'name'];
/** Elements whose button would leave this page, or that look as if they belonged to it. Their content stays. */
const CONTROLS = 'form, button, textarea, select, input:not([type=checkbox])';

/** A sanitizer that also takes out what would load something or look like a command. */
export function harmless(
  sanitizer: Sanitizer,
  remoteImages: () => boolean
): Sanitizer & { readonly allowNamedProperties: false } {
  return {
    sanitize: (dirty, options) => withoutLoading(sanitizer.sanitize(dirty, options), remoteImages()),
    allowNamedProperties: false
  };
}

/** Return HTML with all that loads from elsewhere turned into links. */
export function withoutLoading(html: string, remoteImages: boolean): string {
  const { body } = new DOMParser().parseFromString(`<body>${html}`, 'text/html');
  disarm(body, remoteImages);
  return body.innerHTML;
}

/** The same of an element's content, which must not be in a page yet. */
export function disarm(body: HTMLElement, remoteImages: boolean): void {
  for (const node of body.querySelectorAll('*')) {
    if (node instanceof HTMLElement && /url|image|\\/i.test(node.getAttribute('style') ?? '')) {
      node.removeAttribute('style');
    }
    for (const name of node.getAttributeNames()) {
      if (NEVER.includes(name) || name.startsWith('data-commandlinker')) {
        node.removeAttribute(name);
      }
    }
    // An address without a site would be one of this server, asked with the reader's cookie; `http:/lab` is one too.
    if (node.hasAttribute('href') && !/^(https?:\/\/|mailto:|#)/i.test(node.getAttribute('href') ?? '')) {
      node.removeAttribute('href');
    }
    if (node.matches(CONTROLS)) {
      node.replaceWith(...node.childNodes);
    } else if (LOADS.some(name => node.hasAttribute(name)) && !mayLoad(node, remoteImages)) {
      node.replaceWith(inPlaceOf(node, body.ownerDocument));
    }
  }
}

function mayLoad(node: Element, remoteImages: boolean): boolean {
  if (node.tagName !== 'IMG' || LOADS.some(name => name !== 'src' && node.hasAttribute(name))) {
    return false;
  }
  const source = node.getAttribute('src') ?? '';
  // Never from this server, whatever the setting: a GET with the reader's cookie is not a model's to make.
  return /^data:image\//i.test(source) || (remoteImages && /^https?:\/\//i.test(source) && !isOurs(source));
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
  link.rel = 'noopener noreferrer nofollow';
  link.target = '_blank';
  link.className = 'jp-bgstream-image';
  link.textContent = words === '' ? source : `${words} (${source})`;
  return link;
}
