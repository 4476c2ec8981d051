/** A collapsed text, such as the reasoning or an earlier answer, drawn only while it is open. */

import { trans } from '../translation';
import type { Disposable } from '../wire/jobFeed';
import { element } from './dom';
import { type Markdown, TextPane } from './textPane';

/** Calls back with the text, now and at each change; `whole`: it will not grow any more. */
export type FollowText = (show: (text: string, whole: boolean) => void) => Disposable;

export class Disclosure {
  readonly node: HTMLDetailsElement;

  /** @param tell is called when it is opened; its result is disposed of when it is closed. */
  constructor(
    name: string,
    private readonly _markdown: Markdown,
    summary: string,
    private readonly _tell: FollowText
  ) {
    this.node = element('details', name);
    this._summary.textContent = summary;
    this.node.append(this._summary, this._body);
    this.node.addEventListener('toggle', () => {
      if (this.node.open) {
        this._open();
      } else {
        this._close();
      }
    });
  }

  set summary(words: string) {
    this._summary.textContent = words;
  }

  dispose(): void {
    this._close();
    this.node.remove();
  }

  private _open(): void {
    this._close();
    const pane = new TextPane(this._markdown, () => undefined);
    this._body.replaceChildren(pane.node);
    const telling = this._tell((text, whole) => {
      pane.set(text === '' ? `*${trans.__('No text')}*` : text, whole);
    });
    this._shown = {
      dispose: () => {
        telling.dispose();
        pane.dispose();
      }
    };
  }

  private _close(): void {
    this._shown?.dispose();
    this._shown = null;
    this._body.replaceChildren();
  }

  private readonly _summary = element('summary', 'summary');
  private readonly _body = element('div', 'folded');
  private _shown: Disposable | null = null;
}
