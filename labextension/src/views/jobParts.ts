/** The parts of an answer beside its text: reasoning, citations, tool calls and earlier attempts. */

import { clipped, collapsedText, LongList } from '../render/boundedText';
import { Disclosure } from '../render/disclosure';
import { element, setText } from '../render/dom';
import { PlainText } from '../render/plainText';
import { prettyJson } from '../render/prettyJson';
import type { Markdown } from '../render/textPane';
import { trans } from '../translation';
import type { CitationInfo, Partial, ToolCallInfo } from '../wire/types';
import { formatNumber } from './format';

/** Number of citations above which they are collapsed. */
const CITATIONS_IN_SIGHT = 8;

/** Limit of characters of an address: the server drops citations with a longer one. */
const LONGEST_ADDRESS = 8192;

/** The collapsed reasoning. */
export class Reasoning {
  private readonly _text = new PlainText(element('div', 'plain'));
  readonly node = element(
    'details',
    'reasoning',
    element('summary', 'summary', trans.__('Reasoning')),
    this._text.node
  );

  /** Show the reasoning. `alone`: there is no other text, so open it once. */
  show(text: string, alone: boolean): void {
    this.node.hidden = text === '';
    if (alone && !this._opened) {
      this._opened = this.node.open = true;
    }
    this._text.show(text);
  }

  private _opened = false;
}

/** The citations, collapsed if they are many. */
export class CitationList {
  readonly node = element('details', 'cited');

  constructor() {
    this.node.hidden = true;
    this.node.append(this._count, this._list.node, this._list.more);
  }

  show(citations: readonly CitationInfo[]): void {
    if (citations.length > 0 && this.node.hidden) {
      this.node.open = citations.length <= CITATIONS_IN_SIGHT;
    }
    this._list.show(citations);
    this.node.hidden = citations.length === 0;
    const count = formatNumber(citations.length);
    setText(this._count, trans._n('%2 citation', '%2 citations', citations.length, count));
  }

  private readonly _count = element('summary', 'summary');
  private readonly _list = new LongList('sources', 'ol', citationItem);
}

/** The texts of earlier attempts, each collapsed. */
export class EarlierAttempts {
  readonly node = element('div', 'attempts');

  constructor(private readonly _markdown: Markdown) {}

  dispose(): void {
    this._items.forEach(item => item.dispose());
  }

  /** Show these attempts. Existing items stay, open or closed. */
  show(attempts: readonly Partial[]): void {
    if (this._attempts !== attempts) {
      this._attempts = attempts;
      for (const each of attempts.slice(this._items.length)) {
        const item = this._itemOf(each);
        this._items.push(item);
        this.node.append(item.node);
      }
      this._items.splice(attempts.length).forEach(item => item.dispose());
    }
  }

  private _itemOf({ attempt, text, reasoning }: Partial): Disclosure {
    return new Disclosure('attempt', this._markdown, trans.__('Text of attempt %1', attempt), show => {
      show(text || reasoning, true);
      return { dispose: () => undefined };
    });
  }

  private _attempts: readonly Partial[] = [];
  private readonly _items: Disclosure[] = [];
}

/** Make the list of tool calls. */
export function toolCallList(): LongList<ToolCallInfo> {
  return new LongList('tools', 'div', ({ name, arguments: text }: ToolCallInfo) => {
    const item = collapsedText('tool', trans.__('Asks for the tool %1', name), text, prettyJson);
    item.lastElementChild?.classList.add('jp-bgstream-arguments');
    return item;
  });
}

function citationItem({ url, title }: CitationInfo): HTMLElement {
  const host = hostOf(url);
  if (host === null) {
    return element('li', 'source', clipped(title || url)); // other addresses of a model must not be links
  }
  const link = element('a', 'link', clipped(title || url));
  link.href = url;
  link.title = clipped(url, 2000);
  link.target = '_blank';
  link.rel = 'noopener noreferrer nofollow';
  // A title may name another site than the link.
  const site = title === '' ? [] : [' ', element('span', 'host', clipped(host))];
  return element('li', 'source', link, ...site);
}

/** Return the host of a web page's address; null for any other. */
function hostOf(url: string): string | null {
  if (url.length > LONGEST_ADDRESS || !/^https?:\/\//i.test(url)) {
    return null;
  }
  try {
    return new URL(url).host;
  } catch {
    return null;
  }
}
