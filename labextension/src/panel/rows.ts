/** Lists of the panel: an element for each item, reused while the item exists, so that focus and hover stay. */

import { Notification } from '@jupyterlab/apputils';
import { type LabIcon } from '@jupyterlab/ui-components';

import { arrange, button, element } from '../render/dom';

/** One row: its element, and a function that updates it. */
export interface Row<T> {
  readonly node: HTMLElement;
  update(item: T): void;
}

export class Rows<T extends { id: string }> {
  readonly node = element('ul', 'list');

  constructor(
    private readonly _make: (item: T) => Row<T>,
    empty: string
  ) {
    this._empty = empty === '' ? [] : [element('li', 'empty', empty)];
  }

  show(items: readonly T[]): void {
    const before = this._rows;
    this._rows = new Map();
    for (const item of items) {
      const row = before.get(item.id) ?? this._make(item);
      row.update(item);
      this._rows.set(item.id, row);
    }
    arrange(this.node, items.length === 0 ? this._empty : [...this._rows.values()].map(row => row.node));
  }

  private readonly _empty: readonly HTMLElement[];
  private _rows = new Map<string, Row<T>>();
}

/** The elements that all rows have. The main button covers the whole row. */
export class RowParts {
  readonly node = element('li', 'row');
  readonly title = element('span', 'title');
  readonly preview = element('span', 'preview');
  readonly facts = element('span', 'facts');
  readonly state = element('span', 'state');
  readonly mark = element('span', 'mark');
  readonly details = element('span', 'details');
  readonly main: HTMLButtonElement;

  constructor(open: () => void, ...actions: HTMLElement[]) {
    this.main = button('open', 'open', open, this.title, this.preview, this.facts);
    this.node.append(this.main, element('span', 'actions', ...actions));
  }
}

/** A button that shows an icon. */
export function iconButton(action: string, caption: string, icon: LabIcon, onClick: () => void): HTMLButtonElement {
  const container = button('action', action, onClick);
  container.title = caption;
  container.setAttribute('aria-label', caption);
  icon.element({ container, tag: 'span', elementSize: 'normal' });
  return container;
}

/** Show a notification if the work of a button fails. */
export function notifyFailure(work: Promise<void>): void {
  work.catch((error: unknown) => Notification.error((error as Error).message, { autoClose: 5000 }));
}
