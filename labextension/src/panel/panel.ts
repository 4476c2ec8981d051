/** The side panel: the inbox, the threads and the jobs; in Notebook also an open thread. */

import { closeIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';

import { clipped } from '../render/boundedText';
import { element, setDenial, setText, textButton } from '../render/dom';
import type { ThreadsModel } from '../threads/threadsModel';
import { threadRow, type ThreadRowActions } from '../threads/threadRow';
import type { ThreadView } from '../threads/threadView';
import { trans } from '../translation';
import { formatCost } from '../views/format';
import { costSource } from '../views/jobLabels';
import type { Disposable } from '../wire/jobFeed';
import type { Cost, NoticeInfo, ThreadInfo } from '../wire/types';
import { bgstreamIcon } from './icons';
import { type JobItem, jobItems } from './jobListing';
import { type JobActions, jobRow } from './jobRow';
import type { JobsModel } from './jobsModel';
import { type MuteItem, muteRow } from './mutes';
import { type NoticeActions, noticeRow } from './noticeRow';
import { iconButton, notifyFailure, Rows } from './rows';

/** Number of threads listed at first: the jobs are below them. */
const FEW = 5;

export class Panel extends Widget {
  constructor(
    private readonly _model: JobsModel,
    private readonly _threads: ThreadsModel,
    private readonly _actions: JobActions & NoticeActions & ThreadRowActions
  ) {
    super();
    this.id = 'jp-bgstream-panel';
    this.addClass('jp-bgstream-panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Background answers'));
    this.title.icon = bgstreamIcon;
    this.title.dataset = { jpTabLabel: trans.__('Background answers'), unread: '' };
    this._trouble.setAttribute('role', 'status');
    this._warning.append(
      this._sentences,
      iconButton('dismiss-warnings', trans.__('Dismiss'), closeIcon, () => _model.dismissWarnings())
    );
    this._sentences.setAttribute('role', 'status');
    this.node.append(
      this._trouble,
      this._warning,
      section('inbox', trans.__('Inbox'), [this._count, this._allRead], this._muted, this._notices.node),
      section(
        'threads',
        trans.__('Threads'),
        [this._allThreads, this._newThread],
        this._threadTrouble,
        this._named.node
      ),
      section('jobs', trans.__('Jobs'), [this._batch, this._showAll, this._today], this._jobs.node)
    );
    this._threadTrouble.setAttribute('role', 'status');
    _model.changed.connect(this._show, this);
    _threads.changed.connect(this._showThreads, this);
    this._show();
    this._showThreads();
  }

  override dispose(): void {
    this._model.changed.disconnect(this._show, this);
    this._threads.changed.disconnect(this._showThreads, this);
    this._page?.dispose();
    this._lookAway();
    super.dispose();
  }

  /** Show a thread instead of the lists; null: the lists. */
  showPage(page: ThreadView | null): void {
    this._page?.dispose();
    this._page = page;
    this.node.dataset.page = String(page !== null);
    if (page !== null) {
      this.node.append(page.node);
      page.focus();
    } else {
      this.node.querySelector<HTMLElement>('.jp-bgstream-threads button')?.focus();
    }
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
    this._looking = [this._model.look(), this._threads.look()];
    this._ticker = setInterval(() => this._tick(), 1000);
    this._tick();
  }

  private _lookAway(): void {
    clearInterval(this._ticker);
    this._looking.splice(0).forEach(looking => looking.dispose());
  }

  private _show(): void {
    const { unread, notices, trouble, denial, mutes, warnings, filter, today } = this._model;
    setDenial(this.node, denial);
    this.title.caption =
      unread > 0 ? trans.__('Background answers (%1 unread)', unread) : trans.__('Background answers');
    this.title.className = 'jp-bgstream-tab';
    this.title.dataset = { ...this.title.dataset, unread: unread > 0 ? String(unread) : '' };
    setText(this._trouble, trouble ?? '');
    setText(this._sentences, warnings.join('\n'));
    this._warning.hidden = warnings.length === 0;
    setText(this._count, unread > 0 ? String(unread) : '');
    this._count.title = trans.__('%1 unread', unread);
    this._allRead.hidden = unread === 0;
    this._muted.hidden = mutes.length === 0;
    setText(this._mutedCount, trans.__('%1 muted', mutes.length));
    this._mutes.show(mutes.map(mute => ({ ...mute, id: `${mute.kind} ${mute.name}` })));
    this._notices.show(notices);
    setText(this._batch, filter === null ? '' : trans.__('of %1', clipped(filter.title) || trans.__('a batch')));
    this._showAll.hidden = filter === null;
    setText(this._today, today === null ? '' : todayLabel(today));
    this._today.title = today === null ? '' : trans.__('The cost of the jobs submitted today. %1', costSource(today));
    this._today.hidden = today === null;
    this._showJobs();
  }

  private _tick(): void {
    this._showJobs();
    this._showThreads();
  }

  private _showThreads(): void {
    const { threads, trouble } = this._threads;
    setText(this._threadTrouble, trouble ?? '');
    const shown = this._manyThreads ? threads : threads.slice(0, FEW);
    this._named.show(shown.map(thread => ({ ...thread, id: thread.name })));
    this._allThreads.hidden = threads.length <= FEW;
    this._allThreads.setAttribute('aria-expanded', String(this._manyThreads));
    setText(this._allThreads, this._manyThreads ? trans.__('Show fewer') : trans.__('Show all %1', threads.length));
  }

  private _showJobs(): void {
    this._jobs.show(jobItems(this._model.jobs, this._model.viewer));
  }

  private readonly _trouble = element('span', 'trouble');
  private readonly _warning = element('div', 'warning');
  private readonly _sentences = element('span', 'sentences');
  private readonly _count = element('span', 'badge');
  private readonly _allRead = textButton('mark-all-read', trans.__('Mark all read'), () =>
    notifyFailure(this._model.markAllRead())
  );
  private readonly _mutedCount = element('summary', 'summary');
  private readonly _mutes = new Rows<MuteItem>(mute => muteRow(mute, this._model), '');
  private readonly _muted = element('details', 'muted', this._mutedCount, this._mutes.node);
  private readonly _notices = new Rows<NoticeInfo>(
    notice => noticeRow(notice, this._model, this._actions),
    trans.__('Nothing here. Jobs that end while no view shows them are listed here.')
  );
  private readonly _threadTrouble = element('span', 'trouble');
  private readonly _named = new Rows<ThreadInfo & { id: string }>(
    thread => threadRow(thread, this._actions),
    trans.__('No threads yet. Begin one here, or with %1 in a cell.', '%%bg --thread NAME')
  );
  private readonly _allThreads = textButton('all-threads', trans.__('Show all'), () => {
    this._manyThreads = !this._manyThreads;
    this._showThreads();
  });
  private readonly _newThread = textButton('new-thread', trans.__('New thread'), () => this._actions.beginThread());
  private _manyThreads = false;
  private _page: ThreadView | null = null;
  private readonly _batch = element('span', 'batch-filter');
  private readonly _today = element('span', 'today');
  private readonly _showAll = textButton('show-all', trans.__('Show all'), () => {
    this._model.filter = null;
  });
  private readonly _jobs = new Rows<JobItem>(
    job => jobRow(job, this._model, this._actions),
    trans.__('No jobs yet. A cell that begins with %1 starts one.', '%%bg')
  );
  private _looking: Disposable[] = [];
  private _ticker: ReturnType<typeof setInterval> | undefined;
}

function todayLabel(today: Cost): string {
  const cost = formatCost({ ...today, estimated: false });
  return today.estimated ? trans.__('today: %1 (estimate)', cost) : trans.__('today: %1', cost);
}

function section(name: string, title: string, tools: HTMLElement[], ...content: HTMLElement[]): HTMLElement {
  const heading = document.createElement('h2');
  heading.textContent = title;
  heading.id = `jp-bgstream-${name}-title`;
  const header = document.createElement('header');
  header.append(heading, ...tools);
  const node = element('section', name, header, ...content);
  node.setAttribute('aria-labelledby', heading.id);
  return node;
}
