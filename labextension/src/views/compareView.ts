/** Several models' answers to the same question, side by side and each live. */

import { clipped } from '../render/boundedText';
import { element } from '../render/dom';
import { trans } from '../translation';
import type { Status } from '../wire/types';
import { AnswerView, type ViewContext } from './answerView';

export interface ComparedJob {
  job: string;
  model: string;
  /** The answer in the notebook's file. */
  saved: { text: string; status: Status } | null;
}

export class CompareView {
  readonly node = element('div', 'compare');

  constructor(jobs: readonly ComparedJob[], context: ViewContext) {
    this.node.setAttribute('role', 'group');
    this.node.setAttribute(
      'aria-label',
      trans._n('%1 background answer', '%1 background answers side by side', jobs.length)
    );
    this._views = jobs.map(each => {
      const view = new AnswerView({ ...each, ...context });
      const name = clipped(each.model);
      const column = element('section', 'column', element('h4', 'heading', name), view.node);
      column.setAttribute('aria-label', name);
      this.node.append(column);
      return view;
    });
  }

  dispose(): void {
    this._views.forEach(view => view.dispose());
    this.node.remove();
  }

  /** Return whether it shows these jobs or retries of them, in this order. */
  holds(jobs: readonly string[]): boolean {
    return jobs.length === this._views.length && this._views.every((view, i) => view.holds(jobs[i] ?? ''));
  }

  private readonly _views: readonly AnswerView[];
}
