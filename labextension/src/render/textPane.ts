/** The text of an answer: Markdown that grows, drawn in linear time and in short tasks. */

import { trans } from '../translation';
import { BlockHost, type Markdown } from './blockHost';
import { type Block, Blocks } from './markdownSplitter';
import { element } from './dom';
import { PlainText } from './plainText';
import { ANSWER_LIMIT, BLOCK_LIMIT, costOf } from './renderCost';
import { renderScheduler } from './renderScheduler';
import { Visibility } from './visibility';
import { TimeSlicer } from './timeSlicer';

export type { Markdown } from './blockHost';

/** The cost that the page lays out at once, in units. */
const SECTION = 1000;
/**
 * The cost that is drawn out of sight, in units: many answers may come into sight at once, and the page would then lay
 * out all that is drawn in one task.
 */
const OUT_OF_SIGHT = 200;

const panes = new WeakMap<Element, () => string>();

/** The Markdown that a pane shows. */
export function sourceOf(node: Element): string {
  return panes.get(node)?.() ?? '';
}

export class TextPane {
  /** Whether the last text is drawn, and as it will stay. */
  isComplete = false;
  readonly node = document.createElement('div');

  /** @param drawn is called after each drawing. */
  constructor(
    private readonly _markdown: Markdown,
    private readonly _drawn: () => void
  ) {
    this.node.className = 'jp-bgstream-text jp-RenderedHTMLCommon jp-RenderedMarkdown';
    this.node.dataset.mimeType = 'text/markdown';
    panes.set(this.node, () => this._text);
    this._visibility = new Visibility(this.node, () => {
      if (this._waits) {
        renderScheduler.request(this);
      }
    });
  }

  dispose(): void {
    this._disposed = true;
    this._visibility.dispose();
    renderScheduler.cancel(this);
  }

  /** Show this text. `whole`: it will not grow any more. */
  set(text: string, whole: boolean): void {
    if (this._text === text && this._whole === whole) {
      return;
    }
    this._text = text;
    this._whole = whole;
    this.isComplete = false;
    renderScheduler.request(this);
  }

  /** Draw the text that was set last; a text that is set meanwhile is drawn next. */
  async paint(): Promise<void> {
    if (this._painting) {
      return;
    }
    this._painting = true;
    const [text, whole] = [this._text, this._whole];
    try {
      const isOther = this._blocks.text !== text || this._finished !== whole;
      if (isOther) {
        this._split(text, whole);
      }
      if (isOther || this._waits) {
        await this._draw();
      }
    } finally {
      this._painting = false;
    }
    if (this._disposed) {
      return;
    }
    if (text !== this._text || whole !== this._whole || (this._waits && this._visibility.isNear)) {
      renderScheduler.request(this);
      return;
    }
    this.isComplete = whole && !this._waits;
    this._drawn();
  }

  private _split(text: string, whole: boolean): void {
    if (this._finished || !text.startsWith(this._blocks.text)) {
      // Another text, not more of it. What is on the screen stays until its successor is drawn.
      this._blocks = new Blocks();
      this._root = document.createElement('div');
      this._section = { node: this._root, cost: Infinity };
      this._rendered = this._cost = this._end = 0;
      this._inOne = true;
      this._tail = this._code = this._rest = null;
    }
    this._blocks.feed(text);
    this._finished = whole;
    if (whole) {
      this._blocks.finish();
    }
  }

  private async _draw(): Promise<void> {
    const breath = new TimeSlicer();
    if (!this.node.hasChildNodes()) {
      this.node.append(this._root); // there is nothing to keep in sight until all is drawn
    }
    let waits = false;
    for (const block of this._blocks.closed.slice(this._rendered)) {
      if (this._rest !== null) {
        break; // it is shown with all of the rest
      }
      waits = this._mustWait(block.text, block.fence);
      if (waits) {
        break;
      }
      await this._close(block);
      this._rendered++;
      if ((await breath.pause()) && (this._disposed || !this._text.startsWith(this._blocks.text))) {
        return; // the view is gone
      }
    }
    this._waits = this._rest === null && (waits || this._mustTailWait());
    if (this._rest !== null) {
      this._rest.show(this._blocks.text.slice(this._end));
    } else if (this._waits) {
      this._showWaiting();
      return;
    } else if (this._finished && this._blocks.needsWhole) {
      await this._drawWhole();
    } else if (this._blocks.inFence) {
      this._drawCode(this._blocks.tail);
    } else if (this._blocks.tail !== '') {
      await this._host().show(this._blocks.tail);
    } else {
      this._tail?.node.remove();
      this._tail = null;
    }
    this._showRoot();
  }

  /** Return whether this is drawn only when it comes into sight. */
  private _mustWait(text: string, fence: boolean): boolean {
    return !this._visibility.isNear && this._cost + chargeOf(text, costOf(text, fence)) > OUT_OF_SIGHT;
  }

  private _mustTailWait(): boolean {
    const { inFence, needsWhole, tail } = this._blocks;
    if (this._finished && needsWhole) {
      return this._mustWait('', false);
    }
    return !inFence && tail !== '' && this._mustWait(tail, false); // an open fence is plain text anyway
  }

  /** Show the undrawn part as plain text, so that it can be searched and read. */
  private _showWaiting(): void {
    if (this._visibility.isKnown) {
      this._dropTail();
      this._showRoot();
      const waiting = new PlainText(element('div', 'asis'));
      waiting.show(this._blocks.text.slice(this._end));
      this.node.append(waiting.node);
    }
  }

  private _showRoot(): void {
    if (this.node.childElementCount !== 1 || !this.node.contains(this._root)) {
      this.node.replaceChildren(this._root);
    }
  }

  /** The tail, or its beginning, is finished: what showed it until now shows it for good. */
  private async _close(block: Block): Promise<void> {
    if (this._cost > ANSWER_LIMIT) {
      this._leaveRest();
      return;
    }
    const cost = Math.min(costOf(block.text, block.fence), 2 * BLOCK_LIMIT);
    this._inOne &&= cost <= BLOCK_LIMIT;
    this._cost += chargeOf(block.text, cost);
    this._end += block.text.length;
    if (block.fence) {
      this._drawCode(block.text);
      const code = this._code;
      this._code = null;
      if (cost <= BLOCK_LIMIT) {
        const host = new BlockHost(this._markdown);
        await host.show(block.text, true);
        code?.node.parentElement?.replaceWith(host.node);
      }
    } else {
      const host = this._host();
      this._tail = null;
      await host.show(block.text);
    }
    this._section.cost += cost;
  }

  private _leaveRest(): void {
    this._dropTail();
    this._rest = new PlainText(element('div', 'asis'));
    const why = trans.__('Shown as plain text from here on: this answer is too long to be drawn.');
    this._root.append(element('div', 'why', why), this._rest.node);
  }

  private _dropTail(): void {
    this._tail?.node.remove();
    this._code?.node.parentElement?.remove();
    this._tail = this._code = null;
  }

  private _host(): BlockHost {
    if (this._tail === null) {
      this._tail = new BlockHost(this._markdown);
      this._append(this._tail.node);
    }
    return this._tail;
  }

  /** Show an open fence as a growing plain element, which no parser reads repeatedly. */
  private _drawCode(fence: string): void {
    this._tail?.node.remove();
    this._tail = null;
    if (this._code === null) {
      this._code = new PlainText(document.createElement('code'));
      const pre = document.createElement('pre');
      pre.append(this._code.node);
      this._append(pre);
    }
    this._code.show(fence.replace(/^[^\n]*\n?/, '').replace(/(^|\n) {0,3}(`{3,}|~{3,})[ \t\r]*\n?$/, '$1'));
  }

  private _append(node: HTMLElement): void {
    if (this._section.cost > SECTION) {
      this._section = { node: element('div', 'section'), cost: 0 };
      this._root.append(this._section.node);
    }
    this._section.node.append(node);
  }

  private async _drawWhole(): Promise<void> {
    if (!this._inOne || this._cost > BLOCK_LIMIT) {
      const why = trans.__(
        'Drawn in parts: this answer is too long to resolve links that are defined elsewhere in it, and HTML over several paragraphs.'
      );
      this._root.append(element('div', 'why', why));
      return;
    }
    const root = this._root;
    const host = new BlockHost(this._markdown);
    await host.show(this._blocks.text);
    root.replaceChildren(host.node);
  }

  private readonly _visibility: Visibility;
  /** The rest is drawn when it comes into sight. */
  private _waits = false;
  private _text = '';
  private _whole = false;
  private _disposed = false;
  private _painting = false;
  private _blocks = new Blocks();
  /** Whether the text in `_blocks` is complete. */
  private _finished = false;
  /** Number of closed blocks with an element. */
  private _rendered = 0;
  /** Cost of these blocks. */
  private _cost = 0;
  /** None of them is too costly, and so the whole may be drawn in one. */
  private _inOne = true;
  /** End of these blocks in the text. */
  private _end = 0;
  /** What shows this text; not in the page before it is drawn, if there was another. */
  private _root = document.createElement('div');
  /** Its last part. */
  private _section = { node: this._root, cost: Infinity };
  private _tail: BlockHost | null = null;
  private _code: PlainText | null = null;
  /** What comes after as much as one answer may cost. */
  private _rest: PlainText | null = null;
}

/** What a block adds to the cost of its answer: one above the limit is plain text. */
function chargeOf(text: string, cost: number): number {
  return cost <= BLOCK_LIMIT ? cost : Math.sqrt(text.length);
}
