/** Element of one block of an answer: rendered, or plain text if rendering would block the page or fails. */

import { trans } from '../translation';
import { element } from './dom';
import { PlainText } from './plainText';
import { isCostly } from './renderCost';

/** Renders Markdown as DOM. It must be safe for any text, because models write it. */
export interface Markdown {
  /** Replace the host's content by the text, rendered. */
  render(host: HTMLElement, text: string): Promise<void>;
}

/** An element whose content is rendered Markdown: one render in flight, the latest text next. */
export class BlockHost {
  readonly node = document.createElement('div');

  constructor(private readonly _markdown: Markdown) {
    this.node.className = 'jp-bgstream-block';
  }

  /** Render this text, or a later one if that is set first. */
  async show(text: string, fence = false): Promise<void> {
    this._wanted = text;
    this._fence = fence;
    this._rendering ??= this._work().finally(() => {
      this._rendering = null;
    });
    await this._rendering;
  }

  private async _work(): Promise<void> {
    while (this._shown !== this._wanted) {
      const text = this._wanted;
      // The cost of a text above the limit is not measured again while it grows.
      this._costly = (this._costly && text.startsWith(this._shown)) || isCostly(text, this._fence);
      if (this._costly) {
        this._showPlain(text, trans.__('Shown as plain text: drawing this part would block the page.'));
      } else {
        await this._render(text);
      }
      this._shown = text;
    }
  }

  private async _render(text: string): Promise<void> {
    try {
      await this._markdown.render(this.node, text);
      this._plain = null;
    } catch (error) {
      console.warn('jupyter_bgstream: a part of an answer is shown as plain text', error);
      this._plain = null;
      this._showPlain(text, trans.__('Shown as plain text: this part could not be drawn.'));
    }
  }

  private _showPlain(text: string, why: string): void {
    if (this._plain === null) {
      this._plain = new PlainText(element('div', 'asis'));
      this.node.replaceChildren(element('div', 'why', why), this._plain.node);
    }
    this._plain.show(text);
  }

  private _wanted = '';
  private _fence = false;
  private _shown = '';
  private _costly = false;
  private _plain: PlainText | null = null;
  private _rendering: Promise<void> | null = null;
}
