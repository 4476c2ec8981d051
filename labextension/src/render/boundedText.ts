/** Bounds untrusted text in the user interface: shortens names and sentences, and collapses long lists. */

import { trans } from '../translation';
import { button, element, setText } from './dom';
import { PlainText } from './plainText';

/** Limit of characters of a name or a title. */
const LINE = 300;
/** Limit of characters of a sentence, such as the reason of a failure; the rest is collapsed. */
const SENTENCE = 2000;
/** Items of a list that are drawn at first, and then with each click. */
const FIRST = 100;
const MORE = 500;
/** Items that are laid out together. */
const PART = 10;

/** Return a text of at most `limit` characters; an ellipsis stands for the rest. */
export function clipped(text: string, limit = LINE): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/**
 * Return a name for use within a sentence of plain text. Direction marks in it do not turn the text beside it.
 */
export function isolated(text: string): string {
  return `\u2068${clipped(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, '')}\u2069`;
}

/** Make a disclosure of plain text. `drawn` returns what is shown; for a long text it is called at the first opening. */
export function collapsedText(
  name: string,
  summary: string,
  text: string,
  drawn = (text: string): string => text
): HTMLDetailsElement {
  const plain = new PlainText(element('div', 'plain'));
  const details = element('details', name, element('summary', 'summary', clipped(summary)), plain.node);
  const show = (): void => plain.show(drawn(text));
  if (text.length <= SENTENCE) {
    show();
  } else {
    details.addEventListener('toggle', show, { once: true });
  }
  return details;
}

/** Return the nodes of a sentence; a long one is shortened, and all of it is in a collapsed element. */
export function sentence(text: string): (Node | string)[] {
  if (text.length <= SENTENCE) {
    return [text];
  }
  const summary = trans.__('All of it (%1 characters)', text.length.toLocaleString('en'));
  return [clipped(text, SENTENCE), collapsedText('whole', summary, text)];
}

/** A list that grows at its end: it shows the first items, and more at each click. */
export class LongList<T> {
  readonly node: HTMLElement;
  /** Button below the list while there are more items. */
  readonly more = button('more', 'show-rest', () => {
    this._limit = this._drawn.length + MORE;
    this.show(this._items);
  });

  /**
   * @param name is that of the list's class.
   * @param _tag is that of an element with some of the items: the page lays out those in sight.
   */
  constructor(
    name: string,
    private readonly _tag: 'ol' | 'div',
    private readonly _draw: (item: T) => HTMLElement
  ) {
    this.node = element('div', name);
  }

  /** Show these items; unchanged items keep their elements. */
  show(items: readonly T[]): void {
    this._items = items;
    if (this._drawn.length > items.length || this._drawn.some((item, i) => item !== items[i])) {
      this.node.replaceChildren();
      this._drawn = [];
      this._limit = FIRST;
    }
    for (const item of items.slice(this._drawn.length, this._limit)) {
      this._part().append(this._draw(item));
      this._drawn.push(item);
    }
    this.node.hidden = items.length === 0;
    const left = items.length - this._drawn.length;
    this.more.hidden = left === 0;
    setText(this.more, trans.__('Show more (%1 left)', left.toLocaleString('en')));
  }

  /** The last part, or a new one if that is full. */
  private _part(): HTMLElement {
    const last = this.node.lastElementChild;
    if (last instanceof HTMLElement && this._drawn.length % PART !== 0) {
      return last;
    }
    const part = element(this._tag, 'part');
    if (part instanceof HTMLOListElement) {
      part.start = this._drawn.length + 1;
    }
    this.node.append(part);
    return part;
  }

  private _items: readonly T[] = [];
  private _drawn: T[] = [];
  private _limit = FIRST;
}
