/** The side panel: the inbox and the jobs. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { checkIcon, closeIcon, deleteIcon, stopIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';

import { hasEnded } from './fold';
import { bgstreamIcon } from './icon';
import type { Disposable } from './live';
import type { JobsModel } from './model';
import { iconButton, mainButton, type Row, Rows, span } from './rows';
import { durationWords, elapsedWords, previewWords, stateWords, tokenWords } from './words';
import type { Job, Notice } from './wire';

export interface PanelActions {
  openJob(job: Job): void;
  /** Goes to the cell, and what was opened is read. */
  openNotice(notice: Notice): void;
}

export class Panel extends Widget {
  constructor(
    private readonly _model: JobsModel,
    private readonly _actions: PanelActions
  ) {
    super();
    this.id = 'jp-bgstream-panel';
    this.addClass('jp-bgstream-panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Background answers');
    this.title.icon = bgstreamIcon;
    this.title.dataset = { jpTabLabel: 'Background answers', unread: '' };
    this._trouble.setAttribute('role', 'status');
    this._allRead.type = 'button';
    this._allRead.className = 'jp-bgstream-textbutton';
    this._allRead.dataset.action = 'mark-all-read';
    this._allRead.textContent = 'Mark all read';
    this._allRead.addEventListener('click', () => attempt(_model.markAllRead()));
    this.node.append(
      this._trouble,
      section('inbox', 'Inbox', this._notices.node, this._count, this._allRead),
      section('jobs', 'Jobs', this._jobs.node)
    );
    _model.changed.connect(this._show, this);
    this._show();
  }

  override dispose(): void {
    this._model.changed.disconnect(this._show, this);
    this._lookAway();
    super.dispose();
  }

  protected override onAfterShow(): void {
    this._look();
  }

  protected override onAfterAttach(): void {
    if (this.isVisible) {
      this._look();
    }
  }

  protected override onBeforeHide(): void {
    this._lookAway();
  }

  private _look(): void {
    this._lookAway();
    this._looking = this._model.look();
    this._ticker = setInterval(() => this._showJobs(), 1000);
    this._showJobs();
  }

  private _lookAway(): void {
    clearInterval(this._ticker);
    this._looking?.dispose();
    this._looking = null;
  }

  private _show(): void {
    const { unread, notices, trouble } = this._model;
    this.title.caption = unread > 0 ? `Background answers (${unread} unread)` : 'Background answers';
    this.title.className = 'jp-bgstream-tab';
    this.title.dataset = { ...this.title.dataset, unread: unread > 0 ? String(unread) : '' };
    this._trouble.textContent = trouble ?? '';
    this._count.textContent = unread > 0 ? String(unread) : '';
    this._count.title = `${unread} unread`;
    this._allRead.hidden = unread === 0;
    this._notices.show(notices);
    this._showJobs();
  }

  private _showJobs(): void {
    this._jobs.show(this._model.jobs);
  }

  private readonly _trouble = span('trouble');
  private readonly _count = span('badge');
  private readonly _allRead = document.createElement('button');
  private readonly _notices = new Rows<Notice>(
    notice => noticeRow(notice, this._model, this._actions),
    'Nothing here. What ends while nobody looks comes here.'
  );
  private readonly _jobs = new Rows<Job>(
    job => jobRow(job, this._model, this._actions),
    'No jobs yet. A cell that begins with %%bg starts one.'
  );
  private _looking: Disposable | null = null;
  private _ticker: ReturnType<typeof setInterval> | undefined;
}

function section(name: string, title: string, list: HTMLElement, ...tools: HTMLElement[]): HTMLElement {
  const node = document.createElement('section');
  node.className = `jp-bgstream-${name}`;
  const heading = document.createElement('h2');
  heading.textContent = title;
  heading.id = `jp-bgstream-${name}-title`;
  node.setAttribute('aria-labelledby', heading.id);
  const header = document.createElement('header');
  header.append(heading, ...tools);
  node.append(header, list);
  return node;
}

function jobRow(first: Job, model: JobsModel, actions: PanelActions): Row<Job> {
  let job = first;
  const node = document.createElement('li');
  node.className = 'jp-bgstream-row';
  node.dataset.job = job.id;
  const [title, preview, state, details] = [span('title'), span('preview'), span('state'), span('details')];
  const facts = span('facts');
  facts.append(state, details);
  const open = mainButton(() => actions.openJob(job), title, preview, facts);
  const stop = iconButton('stop', 'Stop', stopIcon, () => attempt(model.cancel(job.id)));
  const remove = iconButton('delete', 'Delete', deleteIcon, () => void askAndDelete(job, model));
  node.append(open, actionsOf(stop, remove));
  return {
    node,
    update: next => {
      job = next;
      const ended = hasEnded(job.status);
      node.dataset.state = job.status;
      title.textContent = job.title;
      preview.textContent = job.error?.message ?? previewWords(job.preview);
      open.title = `Go to the cell\n${job.title}`;
      state.textContent = stateOf(job);
      details.textContent = details.title = detailsOf(job);
      stop.hidden = ended;
    }
  };
}

function actionsOf(...buttons: HTMLElement[]): HTMLElement {
  const node = span('actions');
  node.append(...buttons);
  return node;
}

function stateOf({ status }: Job): string {
  // The list is not read at each word: whether a running job thinks or speaks, its view knows.
  return status === 'running' ? 'running…' : stateWords(status, null);
}

function detailsOf(job: Job): string {
  const times = { queued: job.created_at, started: job.started_at, ended: job.ended_at };
  const elapsed = elapsedWords(times, Date.now() / 1000);
  return [elapsed, tokenWords(job.usage), job.model].filter(Boolean).join(' · ');
}

function noticeRow(first: Notice, model: JobsModel, actions: PanelActions): Row<Notice> {
  let notice = first;
  const node = document.createElement('li');
  node.className = 'jp-bgstream-row jp-bgstream-notice';
  node.dataset.notice = notice.id;
  node.dataset.job = notice.job;
  node.dataset.state = notice.status;
  const [title, preview, state, details] = [span('title'), span('preview'), span('state'), span('details')];
  const facts = span('facts');
  facts.append(state, details);
  const open = mainButton(() => actions.openNotice(notice), title, preview, facts);
  const read = iconButton('mark-read', 'Mark read', checkIcon, () => attempt(model.markRead(notice.id)));
  const dismiss = iconButton('dismiss', 'Dismiss', closeIcon, () => attempt(model.dismiss(notice.id)));
  node.append(open, actionsOf(read, dismiss));
  return {
    node,
    update: next => {
      notice = next;
      node.dataset.unread = String(notice.read_at === null);
      title.textContent = notice.title;
      // Why it did not succeed says more than its first words.
      preview.textContent = model.job(notice.job)?.error?.message ?? previewWords(notice.preview);
      open.title = `Go to the cell\n${notice.title}`;
      state.textContent = stateWords(notice.status, null);
      details.textContent = `${durationWords(Date.now() / 1000 - notice.created_at)} ago`;
      read.hidden = notice.read_at !== null;
    }
  };
}

async function askAndDelete(job: Job, model: JobsModel): Promise<void> {
  const answer = await showDialog({
    title: 'Delete this job?',
    body: `Its answer is deleted from the server${hasEnded(job.status) ? '' : ', and it is stopped first'}. What is saved in notebooks stays. (${job.title})`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Delete' })]
  });
  if (answer.button.accept) {
    attempt(model.remove(job.id));
  }
}

/** Do what a button says, and say it if that was not possible. */
function attempt(work: Promise<void>): void {
  work.catch((error: unknown) => Notification.error((error as Error).message, { autoClose: 5000 }));
}
