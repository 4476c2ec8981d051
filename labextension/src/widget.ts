/**
 * The widgets of jobs and batches, for anywidget: one file, with all it needs.
 *
 * On a page with the labextension it is drawn by that, from the page's one socket. Elsewhere this file draws it, from
 * the kernel's messages.
 */

import baseCss from '../style/base.css';
import batchCss from '../style/batch.css';
import imagesCss from '../style/images.css';
import widgetCss from '../style/widget.css';

import { markdown } from './render/standaloneMarkdown';
import { applyTheme } from './render/theme';
import { AnswerView } from './views/answerView';
import { BatchView } from './views/batchView';
import { pageGlobals, type View } from './views/sharedPage';
import type { Disposable } from './wire/jobFeed';
import type { Model } from './wire/kernelCalls';
import { KernelBatch, KernelFeed, sendToKernel } from './wire/kernelRelay';
import { isId } from './wire/types';

interface Context {
  model: Model;
  el: HTMLElement;
}

/** The feed that the views of one widget in this page share. */
interface Relay {
  from: Disposable;
  views: number;
}

const relays = new Map<unknown, Relay>();

/** Report to the kernel that this page has a socket, so that it need not relay, and which retry is the newest. */
function initialize({ model }: { model: Model }): (() => void) | undefined {
  const { live, retries, batches } = pageGlobals() ?? {};
  const id = model.get('id');
  if (live === undefined || !isId(id)) {
    return undefined;
  }
  sendToKernel(model, { type: 'live' });
  let watching: Disposable | undefined;
  const tell = (type: string): void => {
    // No event reports that a notebook is closed and its widgets stay, or that a kernel is restarted.
    if (!sendToKernel(model, { type })) {
      watching?.dispose();
    }
  };
  if (model.get('kind') === 'batch') {
    watching = batches?.follow(id, batch => {
      if (batch !== null && batch.status !== model.get('status')) {
        tell('look');
      }
    });
  } else {
    watching = retries?.watch(id, chain => {
      if ((chain.at(-1)?.id ?? id) !== model.get('newest')) {
        tell('newest');
      }
    });
  }
  return () => watching?.dispose();
}

function render({ model, el }: Context): () => void {
  style('widget', widgetCss);
  const isBatch = model.get('kind') === 'batch';
  const id = model.get('id');
  // The state may come from any notebook.
  if (!isId(id)) {
    el.append(`This widget has no valid id of a ${isBatch ? 'batch' : 'job'}.`);
    return () => undefined;
  }
  const view = isBatch ? drawBatch(model, id) : drawJob(model, id);
  el.classList.add('jp-bgstream-widget');
  el.append(view.node);
  const theme = applyTheme(el);
  return () => [view, theme].forEach(each => each.dispose());
}

function drawJob(model: Model, job: string): View {
  const name = model.get('model');
  const options = { job, model: typeof name === 'string' ? name : '', saved: null };
  const page = pageGlobals();
  if (page?.live === undefined || page.retries === undefined || page.markdown === undefined) {
    style('base', baseCss);
    style('images', imagesCss);
    return relayed(
      model,
      () => new KernelFeed(model),
      ({ live, retries }) => new AnswerView({ ...options, source: live, retries, markdown })
    );
  }
  const { live: source, retries, markdown: rendered } = page;
  return page.answer?.(options) ?? new AnswerView({ ...options, source, retries, markdown: rendered });
}

function drawBatch(model: Model, batchId: string): View {
  const options = { batch: batchId, saved: null };
  const { batches, batch } = pageGlobals() ?? {};
  if (batches === undefined) {
    style('base', baseCss);
    style('batch', batchCss);
    return relayed(
      model,
      () => new KernelBatch(model),
      from => new BatchView({ ...options, batches: from })
    );
  }
  return batch?.(options) ?? new BatchView({ ...options, batches });
}

function relayed<T extends Disposable>(model: Model, make: () => T, view: (from: T) => View): View {
  const key = model.get('key');
  const relay = relays.get(key) ?? { from: make(), views: 0 };
  relays.set(key, relay);
  relay.views++;
  const drawn = view(relay.from as T);
  return {
    node: drawn.node,
    dispose: () => {
      drawn.dispose();
      if (--relay.views === 0) {
        relays.delete(key);
        relay.from.dispose();
      }
    }
  };
}

function style(name: string, css: string): void {
  const id = `jp-bgstream-style-${name}`;
  if (document.getElementById(id) === null) {
    const node = document.createElement('style');
    node.id = id;
    node.textContent = css;
    document.head.append(node);
  }
}

export default { initialize, render };
