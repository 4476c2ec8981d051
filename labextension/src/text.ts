/** The text of an answer: Markdown that grows, drawn in linear time. */

import { type Block, Blocks } from './blocks';
import { painter } from './painter';

/** How Markdown becomes DOM. It must be safe whatever the text: it is a model's. */
export interface Markdown {
  /** Replace the host's content by the text, rendered. */
  render(host: HTMLElement, text: string): Promise<void>;
}

/** A closed fence larger than this stays plain: highlighting is not linear in every highlighter. */
const HIGHLIGHT_UP_TO = 50_000; // characters

/** An element whose content is rendered Markdown: one render in flight, the latest text next. */
class Host {
  readonly node = document.createElement('div');

  constructor(private readonly _markdown: Markdown) {
    this.node.className = 'jp-bgstream-block';
  }

  /** Render this text, or a later one if it comes before this one's turn. */
  async show(text: string): Promise<void> {
    this._wanted = text;
    this._rendering ??= this._work().finally(() => {
      this._rendering = null;
    });
    await this._rendering;
  }

  private async _work(): Promise<void> {
    while (this._shown !== this._wanted) {
      const text = this._wanted;
      await this._markdown.render(this.node, text);
      this._shown = text;
    }
  }

  private _wanted = '';
  private _shown = '';
  private _rendering: Promise<void> | null = null;
}

export class TextPane {
  readonly node = document.createElement('div');

  /** @param drawn is called after each drawing. */
  constructor(
    private readonly _markdown: Markdown,
    private readonly _drawn: () => void
  ) {
    this.node.className = 'jp-bgstream-text jp-RenderedHTMLCommon jp-RenderedMarkdown';
    this.node.dataset.mimeType = 'text/markdown';
  }

  dispose(): void {
    this._disposed = true;
    painter.cancel(this);
  }

  /** Whether the last text is drawn, and as it will stay. */
  get isComplete(): boolean {
    return this._complete;
  }

  /** Show this text. `whole`: it will not grow any more. */
  set(text: string, whole: boolean): void {
    if (this._text === text && this._whole === whole) {
      return;
    }
    this._text = text;
    this._whole = whole;
    this._complete = false;
    painter.request(this);
  }

  async paint(): Promise<void> {
    const [text, whole] = [this._text, this._whole];
    if (this._blocks.text !== text || this._finished !== whole) {
      this._split(text, whole);
      await this._draw();
    }
    if (this._disposed || text !== this._text || whole !== this._whole) {
      return; // painted again soon
    }
    this._complete = whole;
    this._drawn();
  }

  private _split(text: string, whole: boolean): void {
    if (this._finished || !text.startsWith(this._blocks.text)) {
      // Another text, not more of it. What is on the screen stays until its successor is drawn.
      this._blocks = new Blocks();
      this._root = document.createElement('div');
      this._rendered = 0;
      this._tail = this._code = null;
    }
    this._blocks.feed(text);
    this._finished = whole;
    if (whole) {
      this._blocks.finish();
    }
  }

  private async _draw(): Promise<void> {
    const root = this._root;
    const renders = this._blocks.closed.slice(this._rendered).map(block => this._close(block));
    this._rendered = this._blocks.closed.length;
    if (this._finished && this._blocks.needsWhole) {
      await Promise.all(renders.splice(0));
      renders.push(this._drawWhole());
    } else if (this._blocks.inFence) {
      this._drawCode(this._blocks.tail);
    } else if (this._blocks.tail !== '') {
      renders.push(this._host().show(this._blocks.tail));
    } else {
      this._tail?.node.remove();
      this._tail = null;
    }
    await Promise.all(renders);
    if (this._root === root && !this.node.contains(root)) {
      this.node.replaceChildren(root);
    }
  }

  /** The tail, or its beginning, is finished: what showed it until now shows it for good. */
  private async _close(block: Block): Promise<void> {
    if (block.fence) {
      this._drawCode(block.text);
      const code = this._code;
      this._code = null;
      if (block.text.length <= HIGHLIGHT_UP_TO) {
        const host = new Host(this._markdown);
        await host.show(block.text);
        code?.parentElement?.replaceWith(host.node);
      }
      return;
    }
    const host = this._host();
    this._tail = null;
    await host.show(block.text);
  }

  private _host(): Host {
    if (this._tail === null) {
      this._tail = new Host(this._markdown);
      this._root.append(this._tail.node);
    }
    return this._tail;
  }

  /** An open fence is a plain element that grows: no parser reads it again and again. */
  private _drawCode(fence: string): void {
    this._tail?.node.remove();
    this._tail = null;
    if (this._code === null) {
      this._code = document.createElement('code');
      const pre = document.createElement('pre');
      pre.append(this._code);
      this._root.append(pre);
    }
    const code = fence.replace(/^[^\n]*\n?/, '').replace(/(^|\n) {0,3}(`{3,}|~{3,})[ \t\r]*\n?$/, '$1');
    const before = this._code.textContent;
    if (code.startsWith(before)) {
      this._code.append(code.slice(before.length));
    } else {
      this._code.textContent = code;
    }
  }

  private async _drawWhole(): Promise<void> {
    const root = this._root;
    const host = new Host(this._markdown);
    await host.show(this._blocks.text);
    root.replaceChildren(host.node);
  }

  private _text = '';
  private _whole = false;
  private _complete = false;
  private _disposed = false;
  private _blocks = new Blocks();
  /** The text in `_blocks` is the whole. */
  private _finished = false;
  /** How many of the closed blocks have an element. */
  private _rendered = 0;
  /** What shows this text; not in the page before it is drawn. */
  private _root = document.createElement('div');
  private _tail: Host | null = null;
  private _code: HTMLElement | null = null;
}
