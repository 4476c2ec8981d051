/** Lists of the panel: an element for each item, reused while the item exists, so that focus and hover stay. */

import { Notification } from '@jupyterlab/apputils';
import { type LabIcon } from '@jupyterlab/ui-components';

/** One row: its element, and a function that updates it. */
export interface Row<T> {
  readonly node: HTMLElement;
  update(item: T): void;
}

export class Rows<T extends { id: string }> {
  readonly node = document.createElement('ul');

  constructor(
    private readonly _make: (item: T) => Row<T>,
    private readonly _empty: string
  ) {
    this.node.className = 'jp-bgstream-list';
  }

  show(items: readonly T[]): void {
    const before = this._rows;
    this._rows = new Map();
    for (const item of items) {
      const row = before.get(item.id) ?? this._make(item);
      row.update(item);
      this._rows.set(item.id, row);
    }
    const nodes = [...this._rows.values()].map(row => row.node);
    if (nodes.length === 0) {
      this.node.replaceChildren(...(this._empty === '' ? [] : [emptyRow(this._empty)]));
    } else if (
      nodes.length !== this.node.childElementCount ||
      nodes.some((node, i) => node !== this.node.children[i])
    ) {
      this._arrange(nodes);
    }
  }

  /** Put the rows in order and move only those that are not: moving takes the focus away. */
  private _arrange(nodes: HTMLElement[]): void {
    const wanted = new Set<Element>(nodes);
    [...this.node.children].filter(child => !wanted.has(child)).forEach(child => child.remove());
    nodes.forEach((node, i) => {
      const there = this.node.children[i];
      if (there !== node) {
        this.node.insertBefore(node, there ?? null);
      }
    });
  }

  private _rows = new Map<string, Row<T>>();
}

/** A button that shows an icon. */
export function iconButton(action: string, caption: string, icon: LabIcon, onClick: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'jp-bgstream-action';
  button.dataset.action = action;
  button.title = caption;
  button.setAttribute('aria-label', caption);
  button.addEventListener('click', onClick);
  icon.element({ container: button, tag: 'span', elementSize: 'normal' });
  return button;
}

/** Make the main button of a row, over its whole width. */
export function mainButton(onClick: () => void, ...content: Node[]): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'jp-bgstream-open';
  button.dataset.action = 'open';
  button.append(...content);
  button.addEventListener('click', onClick);
  return button;
}

/** The buttons of a row. */
export function actionBar(...buttons: HTMLElement[]): HTMLElement {
  const node = span('actions');
  node.append(...buttons);
  return node;
}

/** Show a notification if the work of a button fails. */
export function notifyFailure(work: Promise<void>): void {
  work.catch((error: unknown) => Notification.error((error as Error).message, { autoClose: 5000 }));
}

export function span(name: string): HTMLSpanElement {
  const node = document.createElement('span');
  node.className = `jp-bgstream-${name}`;
  return node;
}

function emptyRow(text: string): HTMLElement {
  const node = document.createElement('li');
  node.className = 'jp-bgstream-empty';
  node.textContent = text;
  return node;
}
