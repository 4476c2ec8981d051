/** The answer to one question: the view of its newest job, and the jobs that it retries. */

import { Disclosure } from '../render/disclosure';
import { arrange, element } from '../render/dom';
import type { Markdown } from '../render/textPane';
import type { Disposable, JobFeed } from '../wire/jobFeed';
import { hasEnded } from '../wire/fold';
import type { Chain, Chains } from '../wire/retryChains';
import type { Status } from '../wire/types';
import { JobView } from './jobView';
import { retriedLabel } from './jobLabels';

/** The page's feeds and renderer, which every view needs. */
export interface ViewContext {
  source: JobFeed;
  retries: Chains;
  markdown: Markdown;
}

export interface AnswerOptions extends ViewContext {
  job: string;
  model: string;
  /** The answer in the notebook's file, or null. */
  saved: { text: string; status: Status } | null;
}

export class AnswerView {
  readonly node = element('div', 'answer');

  constructor(private readonly _options: AnswerOptions) {
    this._view = this._viewOf(_options.job, _options.model);
    this.node.append(this._view.node);
    this._watching = _options.retries.watch(_options.job, chain => this._follow(chain));
  }

  dispose(): void {
    this._watching.dispose();
    this._earlier.forEach(collapsed => collapsed.dispose());
    this._view.dispose();
    this.node.remove();
  }

  /** Return whether it shows this job or a retry of it. */
  holds(job: string): boolean {
    return job === this._options.job || this._chain.some(({ id }) => id === job);
  }

  private _follow(chain: Chain): void {
    this._chain = chain;
    const newest = chain.at(-1) ?? { id: this._options.job, model: this._options.model };
    this._showEarlier(chain.slice(0, -1));
    if (newest.id !== this._view.job) {
      this._swap(newest.id, newest.model);
    }
  }

  private _swap(job: string, model: string): void {
    const before = this._view;
    const hadFocus = before.node.contains(document.activeElement);
    this._view = this._viewOf(job, model);
    before.node.after(this._view.node);
    before.dispose();
    if (hadFocus) {
      this._view.focus();
    }
  }

  private _viewOf(job: string, model: string): JobView {
    const saved = job === this._options.job ? this._options.saved : null;
    return new JobView({ ...this._options, job, model, saved, before: this._before });
  }

  /** Show the earlier answers, newest first. */
  private _showEarlier(earlier: Chain): void {
    const gone = new Set(this._earlier.keys());
    for (const { id, status } of [...earlier].reverse()) {
      let collapsed = this._earlier.get(id);
      if (collapsed === undefined) {
        collapsed = new Disclosure('retried', this._options.markdown, '', show =>
          this._options.source.follow(id, ({ answer }) => {
            if (answer.status !== 'new') {
              show(answer.text || (answer.error?.message ?? ''), hasEnded(answer.status));
            }
          })
        );
        collapsed.node.dataset.job = id;
        this._earlier.set(id, collapsed);
      }
      gone.delete(id);
      collapsed.summary = retriedLabel(status, id === earlier.at(-1)?.id);
    }
    gone.forEach(id => {
      this._earlier.get(id)?.dispose();
      this._earlier.delete(id);
    });
    const nodes = [...earlier].reverse().flatMap(({ id }) => this._earlier.get(id)?.node ?? []);
    arrange(this._before, nodes);
  }

  private _view: JobView;
  private _chain: Chain = [];
  private readonly _before = element('div', 'before');
  private readonly _earlier = new Map<string, Disclosure>();
  private readonly _watching: Disposable;
}
