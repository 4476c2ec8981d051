/** The MIME renderers: a job's view in an output, several side by side, and a batch. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { element } from '../render/dom';
import { PlainText } from '../render/plainText';
import { AnswerView, type ViewContext } from '../views/answerView';
import { BatchView } from '../views/batchView';
import { CompareView } from '../views/compareView';
import type { BatchFeed } from '../wire/liveBatches';
import { BATCH_MIME, BUNDLE_MIME, JOBS_MIME } from '../wire/types';
import { batchOf, bundlesOf, type OutputData, textOf, textsOf } from './mimebundle';

/** Before a widget (-10) and Markdown (60): those are for pages without this extension. */
export const RANK = -20;

/** The view in an output. */
interface View {
  readonly node: HTMLElement;
  /** Return whether it shows these data, so that a later model of the output needs no new view. */
  holds(data: OutputData): boolean;
  dispose(): void;
}

/** Return the factory of the renderers. It is safe: nothing in a bundle is executed, in a trusted notebook either. */
export function rendererFactory(context: ViewContext & { batches: BatchFeed }): IRenderMime.IRendererFactory {
  return {
    safe: true,
    mimeTypes: [BUNDLE_MIME, JOBS_MIME, BATCH_MIME],
    defaultRank: RANK,
    createRenderer: () => new Rendered(data => viewOf(data, context))
  };
}

function viewOf(data: OutputData, context: ViewContext & { batches: BatchFeed }): View | null {
  const batch = batchOf(data);
  if (batch !== null) {
    const view = new BatchView({ batch: batch.id, saved: batch, batches: context.batches });
    return { node: view.node, holds: next => batchOf(next)?.id === batch.id, dispose: () => view.dispose() };
  }
  const jobs = bundlesOf(data);
  const [first] = jobs;
  if (JOBS_MIME in data && first !== undefined) {
    const texts = textsOf(data);
    const saved = jobs.map(({ id, model, status }, i) => ({ job: id, model, saved: { text: texts[i] ?? '', status } }));
    const view = new CompareView(saved, context);
    const holds = (next: OutputData): boolean => JOBS_MIME in next && view.holds(bundlesOf(next).map(({ id }) => id));
    return { node: view.node, holds, dispose: () => view.dispose() };
  }
  if (first !== undefined) {
    const saved = { text: textOf(data, 'text/markdown'), status: first.status };
    const view = new AnswerView({ job: first.id, model: first.model, saved, ...context });
    const holds = (next: OutputData): boolean =>
      !(JOBS_MIME in next) && bundlesOf(next).some(({ id }) => view.holds(id));
    return { node: view.node, holds, dispose: () => view.dispose() };
  }
  return null;
}

class Rendered extends Widget implements IRenderMime.IRenderer {
  constructor(private readonly _viewOf: (data: OutputData) => View | null) {
    super();
    this.addClass('jp-bgstream-output');
  }

  renderModel({ data }: IRenderMime.IMimeModel): Promise<void> {
    // An output area gives the renderer every later model of this type: after a save with the same job or its retry,
    // after a new run with another job.
    if (this._view?.holds(data) === true) {
      return Promise.resolve();
    }
    this._view?.dispose();
    this._view = this._viewOf(data);
    // Data without a valid bundle still have text, and Lab does not try another renderer.
    const words = textOf(data, 'text/plain') || textOf(data, 'text/markdown');
    this.node.replaceChildren(this._view?.node ?? plain(words));
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

  private _view: View | null = null;
}

function plain(words: string): HTMLElement {
  const text = new PlainText(element('div', 'plain'));
  text.show(words);
  return text.node;
}
