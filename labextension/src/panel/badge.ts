/** Shows the count of unread notices in a page that has no side bar with tabs. */

import { Widget } from '@lumino/widgets';

import { element } from '../render/dom';
import { trans } from '../translation';
import { bgstreamIcon } from './icons';
import type { JobsModel } from './jobsModel';
import { iconButton } from './rows';

export class Badge extends Widget {
  constructor(
    private readonly _model: JobsModel,
    open: () => void
  ) {
    super();
    this.id = 'jp-bgstream-badge';
    this.addClass('jp-bgstream-top');
    this._button = iconButton('show-panel', trans.__('Background answers'), bgstreamIcon, open);
    this._button.append(this._count);
    this.node.append(this._button);
    _model.changed.connect(this._show, this);
    this._show();
  }

  override dispose(): void {
    this._model.changed.disconnect(this._show, this);
    super.dispose();
  }

  private _show(): void {
    const { unread } = this._model;
    this.node.dataset.unread = unread > 0 ? String(unread) : '';
    this._count.textContent = unread > 0 ? String(unread) : '';
    this._button.setAttribute('aria-label', trans.__('Background answers, %1 unread', unread));
  }

  private readonly _button: HTMLButtonElement;
  private readonly _count = element('span', 'badge');
}
