/** The side panel, its badge, the tabs and the toasts. */

import { ILabShell, ILayoutRestorer, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker } from '@jupyterlab/notebook';

import { AnswerTabs, type JobTitle } from '../panel/answerTab';
import { Badge } from '../panel/badge';
import { type BatchFilter, JobsModel } from '../panel/jobsModel';
import { followFragment, isNotebook7, JobNavigator } from '../panel/navigation';
import { Panel } from '../panel/panel';
import { WindowElection } from '../panel/toastElection';
import { Toaster } from '../panel/toasts';
import { ThreadDialogs } from '../threads/dialogs';
import { ThreadsModel } from '../threads/threadsModel';
import { ThreadTabs } from '../threads/threadTab';
import { ThreadView } from '../threads/threadView';
import { trans } from '../translation';
import type { JobInfo, NoticeInfo } from '../wire/types';
import { CommandIDs } from './commandIds';
import { IAnswers } from './answersToken';

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:panel',
  description: 'Lists background jobs and those that have ended.',
  autoStart: true,
  requires: [IAnswers, IDocumentManager, INotebookTracker],
  optional: [ILabShell, ILayoutRestorer],
  activate: (
    { commands, shell },
    { live, requests, retries, markdown, batches, preferences }: IAnswers,
    documents: IDocumentManager,
    notebooks: INotebookTracker,
    lab: ILabShell | null,
    restorer: ILayoutRestorer | null
  ) => {
    const model = new JobsModel(live, requests);
    const jobNavigator = new JobNavigator(shell, documents, notebooks);
    const context = { source: live, retries, markdown };
    const tabs = new AnswerTabs(shell, context);
    const threads = new ThreadsModel(live, requests);
    const viewOf = (name: string, back?: () => void): ThreadView =>
      new ThreadView({ conversation: threads.open(name), threads, context, actions: dialogs, back });
    const threadTabs = new ThreadTabs(shell, viewOf);
    const openThread = (name: string): void => {
      if (isNotebook7()) {
        side.showPage(viewOf(name, () => side.showPage(null)));
        showPanel();
      } else {
        threadTabs.show(name);
      }
    };
    const showPanel = (): void => void commands.execute(CommandIDs.showPanel);
    const dialogs = new ThreadDialogs(threads, openThread);
    const go = async (job: JobTitle, { source, thread }: Pick<JobInfo, 'source' | 'thread'>): Promise<void> => {
      if (await jobNavigator.go(await retries.chainIds(job.id), source)) {
        return;
      }
      if (thread !== null) {
        openThread(thread);
      } else if (isNotebook7()) {
        // There the main area has one widget only.
        Notification.info(trans.__('No notebook shows this job.'), { autoClose: 5000 });
      } else {
        tabs.show(job);
      }
    };
    const openNotice = (notice: NoticeInfo): void => {
      // If it fails, the view that comes into sight reports the same.
      model.markRead(notice.id).catch(() => undefined);
      if (notice.job !== null) {
        const job = { id: notice.job, title: notice.title, model: model.job(notice.job)?.model ?? '' };
        void go(job, notice);
      } else if (notice.batch !== null) {
        void goToBatch(notice.batch, notice);
      }
    };
    const goToBatch = async (batch: string, { title, source }: NoticeInfo): Promise<void> => {
      // Its output, else the notebook that asked, else the list.
      if (!(await jobNavigator.go([batch], source)) && !(await jobNavigator.go([], source))) {
        showBatch({ batch, title });
      }
    };
    const showBatch = (filter: BatchFilter): void => {
      model.filter = filter;
      showPanel();
    };
    batches.show = showBatch;
    const side = new Panel(model, threads, {
      openJob: job => void go(job, job),
      retry: job => retries.retry(job.id, job.cursor),
      openNotice,
      openThread,
      beginThread: () => dialogs.begin(),
      fork: (name, after) => dialogs.fork(name, after),
      rename: name => dialogs.rename(name),
      remove: name => dialogs.remove(name)
    });
    commands.addCommand(CommandIDs.showPanel, {
      label: trans.__('Show Background Answers'),
      execute: () => shell.activateById(side.id)
    });
    commands.addCommand(CommandIDs.newThread, {
      label: trans.__('New Thread of Questions'),
      execute: () => dialogs.begin()
    });
    const election = new WindowElection('BroadcastChannel' in window ? new BroadcastChannel('jupyter-bgstream') : null);
    new Toaster(model, preferences, election, openNotice);
    shell.add(side, 'left', { rank: 600, type: 'Background answers' });
    restorer?.add(side, side.id);
    if (lab === null) {
      // Notebook 7 hides its side panels, and with them the tab that bears the badge.
      shell.add(new Badge(model, showPanel), 'top', { rank: 1000 });
    }
    followFragment(notebooks);
  }
};
