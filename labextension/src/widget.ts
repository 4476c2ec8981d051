/**
 * The widget of a job, for anywidget: one file, with all it needs.
 *
 * On a page with the labextension it is drawn by that, from the page's one socket. Elsewhere this file draws it, from
 * what the kernel relays.
 */

import baseCss from '../style/base.css';
import widgetCss from '../style/widget.css';

import { AnswerView, type Drawing } from './answer';
import { Kernel, type Model } from './kernel';
import type { Disposable } from './live';
import { markdown } from './purify';
import { type Drawn, shared } from './sharing';
import { dress } from './theme';

interface Context {
  model: Model;
  el: HTMLElement;
}

/** The kernels' relays of this page, by widget: its views share one. */
const relays = new Map<unknown, { kernel: Kernel; views: number }>();

function initialize({ model }: { model: Model }): void {
  if (shared()?.live !== undefined) {
    // Now the kernel need not relay.
    model.send({ type: 'live' });
  }
}

function render({ model, el }: Context): () => void {
  const shown = draw(model, el);
  el.classList.add('jp-bgstream-widget');
  el.append(shown.node);
  return () => shown.dispose();
}

function draw(model: Model, el: HTMLElement): Drawn {
  const options = { job: String(model.get('id')), model: String(model.get('model')), saved: null };
  const { live, retries, markdown: rendered, answer } = shared() ?? {};
  style('widget', widgetCss);
  if (live === undefined || retries === undefined || rendered === undefined) {
    const relay = relayOf(model);
    style('base', baseCss);
    const undress = dress(el);
    const { live: source, retries } = relay.kernel;
    return withEnd(new AnswerView({ ...options, source, retries, markdown }), undress, relay);
  }
  const watching = retries.watch(options.job, chain => {
    const newest = chain.at(-1)?.id ?? options.job;
    if (newest !== model.get('newest')) {
      model.send({ type: 'newest' }); // its traits are to follow
    }
  });
  const page: Drawing = { source: live, retries, markdown: rendered };
  return withEnd(answer?.(options) ?? new AnswerView({ ...options, ...page }), watching);
}

function relayOf(model: Model): Disposable & { kernel: Kernel } {
  const key = model.get('key');
  const relay = relays.get(key) ?? { kernel: new Kernel(model), views: 0 };
  relays.set(key, relay);
  relay.views++;
  return {
    kernel: relay.kernel,
    dispose: () => {
      if (--relay.views === 0) {
        relays.delete(key);
        relay.kernel.dispose();
      }
    }
  };
}

function withEnd(view: Drawn, ...others: Disposable[]): Drawn {
  return { node: view.node, dispose: () => [view, ...others].forEach(each => each.dispose()) };
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
