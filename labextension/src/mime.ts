/** The MIME renderer: a job's view in an output. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { AnswerView, type Drawing } from './answer';
import { bundleOf, textOf } from './bundle';
import { BUNDLE_MIME } from './wire';

/** Before a widget (-10) and Markdown (60): those are for pages without this extension. */
export const RANK = -20;

/** The factory of a job's renderers. It is safe: nothing in the bundle is executed, whatever the trust. */
export function rendererFactory(drawing: Drawing): IRenderMime.IRendererFactory {
  return {
    safe: true,
    mimeTypes: [BUNDLE_MIME],
    defaultRank: RANK,
    createRenderer: () => new RenderedJob(drawing)
  };
}

class RenderedJob extends Widget implements IRenderMime.IRenderer {
  constructor(private readonly _drawing: Drawing) {
    super();
    this.addClass('jp-bgstream-output');
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const bundle = bundleOf(model.data);
    // An output area gives the renderer any later model of this type: at a save the same job or the one that asks it
    // again, at a new run another.
    if (bundle === null || this._view?.holds(bundle.id) === true) {
      return Promise.resolve();
    }
    this._view?.dispose();
    this._view = new AnswerView({
      job: bundle.id,
      model: bundle.model,
      saved: { text: textOf(model.data, 'text/markdown'), status: bundle.status },
      ...this._drawing
    });
    this.node.replaceChildren(this._view.node);
    return Promise.resolve();
  }

  override dispose(): void {
    this._view?.dispose();
    this._view = null;
    super.dispose();
  }

  protected override onCloseRequest(message: Message): void {
    super.onCloseRequest(message);
    this.dispose();
  }

  private _view: AnswerView | null = null;
}
