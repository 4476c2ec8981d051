/** A tab of the main area with one answer, for a job that no notebook shows. */

import { MainAreaWidget } from '@jupyterlab/apputils';
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Widget } from '@lumino/widgets';

import { AnswerView, type ViewContext } from '../views/answerView';
import type { JobInfo } from '../wire/types';
import { bgstreamIcon } from './icons';

/** Data of a job's tab until its log has arrived. */
export type JobTitle = Pick<JobInfo, 'id' | 'title' | 'model'>;

export class AnswerTabs {
  constructor(
    private readonly _shell: JupyterFrontEnd.IShell,
    private readonly _context: ViewContext
  ) {}

  /** Show the job's tab, which may exist already. */
  show(job: JobTitle): void {
    let tab = [...this._tabs].find(({ content }) => content.holds(job.id));
    if (tab === undefined) {
      tab = new MainAreaWidget({ content: new Content(job, this._context) });
      tab.id = `jp-bgstream-job-${job.id}`;
      tab.title.label = tab.title.caption = job.title;
      tab.title.icon = bgstreamIcon;
      tab.disposed.connect(sender => this._tabs.delete(sender));
      this._tabs.add(tab);
      this._shell.add(tab, 'main', { type: 'Background answer' });
    }
    this._shell.activateById(tab.id);
  }

  private readonly _tabs = new Set<MainAreaWidget<Content>>();
}

class Content extends Widget {
  constructor({ id, model }: JobTitle, context: ViewContext) {
    super();
    this.addClass('jp-bgstream-main');
    this.node.tabIndex = -1;
    this._view = new AnswerView({ job: id, model, saved: null, ...context });
    this.node.append(this._view.node);
  }

  holds(job: string): boolean {
    return this._view.holds(job);
  }

  override dispose(): void {
    this._view.dispose();
    super.dispose();
  }

  private readonly _view: AnswerView;
}
