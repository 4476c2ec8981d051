/** The plugins: wiring and nothing else. */

import { ILabShell, ILayoutRestorer, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { EditorExtensionRegistry, IEditorExtensionRegistry } from '@jupyterlab/codemirror';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { checkAccess } from '../wire/access';
import { AnswerView } from '../views/answerView';
import { Badge } from '../panel/badge';
import { BatchView } from '../views/batchView';
import { copyAnswers } from '../outputs/clipboard';
import { followFragment, Guide, isNotebook7 } from '../panel/navigation';
import { Groups } from '../wire/batches';
import { Live } from '../wire/live';
import { safeMarkdown } from '../render/labMarkdown';
import { rendererFactory } from '../outputs/mimeRenderers';
import { type GroupFilter, JobsModel } from '../panel/jobsModel';
import { Toaster } from '../panel/toasts';
import { Panel } from '../panel/panel';
import { promptCell } from '../editor/promptCell';
import { Requests } from '../wire/request';
import { Retries } from '../wire/retryChains';
import { Keeper } from '../outputs/outputSaver';
import { type Shared, SHARED } from '../views/globals';
import { Speaker } from '../panel/toastElection';
import { type Named, Tabs } from '../panel/answerTab';
import { ThreadAsker } from '../threads/dialogs';
import { ThreadTabs } from '../threads/tab';
import { ThreadsModel } from '../threads/model';
import { ThreadView } from '../threads/view';
import { IAnswers, type Preferences } from './tokens';
import type { Job, Notice } from '../wire/wire';

/** Draws jobs in outputs. It waits for nothing: a notebook clones the renderers when it opens. */
export const renderer: JupyterFrontEndPlugin<IAnswers> = {
  id: 'jupyter-bgstream:renderer',
  description: 'Shows background jobs in outputs.',
  autoStart: true,
  provides: IAnswers,
  requires: [IRenderMimeRegistry],
  activate: (app, registry: IRenderMimeRegistry) => {
    const requests = new Requests(app.serviceManager.serverSettings);
    const live = new Live({
      url: () => requests.liveUrl(),
      WebSocket: requests.WebSocket,
      cancel: job => requests.cancel(job),
      picture: (job, { id }) => requests.picture(job, id),
      access: () => checkAccess(app.serviceManager.serverSettings)
    });
    const preferences: Preferences = { remoteImages: false, toasts: true };
    const markdown = safeMarkdown(registry, () => preferences.remoteImages);
    const retries = new Retries(live, requests);
    const groups = new Groups(live, requests);
    const drawing = { source: live, retries, markdown, groups };
    registry.addFactory(rendererFactory(drawing));
    const shared: Shared = {
      live,
      retries,
      markdown,
      groups,
      answer: options => new AnswerView({ ...options, ...drawing }),
      batch: options => new BatchView({ ...options, groups })
    };
    Object.assign(globalThis, { [SHARED]: shared });
    document.addEventListener('copy', copyAnswers);
    return { live, requests, retries, markdown, groups, preferences };
  }
};

export const settings: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:plugin',
  description: 'Loads the settings of background answers.',
  autoStart: true,
  requires: [IAnswers, ISettingRegistry],
  activate: async (_, { preferences }: IAnswers, registry: ISettingRegistry) => {
    const loaded = await registry.load(settings.id);
    const read = (): void => {
      const { remoteImages, toasts } = loaded.composite;
      Object.assign(preferences, { remoteImages: remoteImages === true, toasts: toasts !== false });
    };
    loaded.changed.connect(read);
    read();
  }
};

/** Puts answers into notebook files. */
export const saver: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:saver',
  description: 'Puts answers into the notebook when it is saved.',
  autoStart: true,
  requires: [IAnswers, INotebookTracker],
  optional: [IDocumentManager],
  activate: (
    { commands },
    { live, retries, groups }: IAnswers,
    notebooks: INotebookTracker,
    documents: IDocumentManager | null
  ) => {
    const maySave = (): boolean => documents?.autosave !== false;
    const keepers = new Map<unknown, Keeper>();
    const keep = (panel: NotebookPanel): void => {
      keepers.set(panel.content, new Keeper(panel, { live, retries, groups, maySave }));
      panel.disposed.connect(() => keepers.delete(panel.content));
    };
    notebooks.forEach(keep);
    notebooks.widgetAdded.connect((_, panel) => keep(panel));
    NotebookActions.executed.connect((_, { notebook, cell }) => keepers.get(notebook)?.ran(cell));
    // Where the server saves each change, this command saves nothing, and whoever gives it still expects the answers.
    commands.commandExecuted.connect((_, { id }) => {
      if (id === 'docmanager:save') {
        keepers.get(notebooks.currentWidget?.content)?.writeLacking();
      }
    });
  }
};

/** Shows cells of `%%bg` as prose. */
export const prompts: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:prompts',
  description: 'Shows cells of %%bg as prose with expressions marked.',
  autoStart: true,
  requires: [IEditorExtensionRegistry],
  activate: (_, editors: IEditorExtensionRegistry) => {
    editors.addExtension({
      name: prompts.id,
      factory: ({ model }) =>
        'type' in model && model.type === 'code' ? EditorExtensionRegistry.createImmutableExtension(promptCell()) : null
    });
  }
};

/** The side panel, its badge and the toasts. */
export const panel: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:panel',
  description: 'Lists background jobs and those that have ended.',
  autoStart: true,
  requires: [IAnswers, IDocumentManager, INotebookTracker],
  optional: [ILabShell, ILayoutRestorer],
  activate: (
    { shell },
    { live, requests, retries, markdown, groups, preferences }: IAnswers,
    documents: IDocumentManager,
    notebooks: INotebookTracker,
    lab: ILabShell | null,
    restorer: ILayoutRestorer | null
  ) => {
    const model = new JobsModel(live, requests);
    const guide = new Guide(shell, documents, notebooks);
    const drawing = { source: live, retries, markdown };
    const tabs = new Tabs(shell, drawing);
    const threads = new ThreadsModel(live, requests);
    const viewOf = (name: string, back?: () => void): ThreadView =>
      new ThreadView({ conversation: threads.open(name), threads, drawing, actions: asker, back });
    const threadTabs = new ThreadTabs(shell, viewOf);
    const openThread = (name: string): void => {
      if (isNotebook7()) {
        side.showPage(viewOf(name, () => side.showPage(null)));
        shell.activateById(side.id);
      } else {
        threadTabs.show(name);
      }
    };
    const asker = new ThreadAsker(threads, openThread);
    const go = async (job: Named, { source, thread }: Pick<Job, 'source' | 'thread'>): Promise<void> => {
      if (await guide.go(await retries.kin(job.id), source)) {
        return;
      }
      if (thread !== null) {
        openThread(thread);
      } else if (isNotebook7()) {
        // There the main area has one widget only.
        Notification.info('No notebook shows this job.', { autoClose: 5000 });
      } else {
        tabs.show(job);
      }
    };
    const openNotice = (notice: Notice): void => {
      // Should that fail, the view that comes into sight says the same.
      model.markRead(notice.id).catch(() => undefined);
      if (notice.job !== null) {
        const job = { id: notice.job, title: notice.title, model: model.job(notice.job)?.model ?? '' };
        void go(job, notice);
      } else if (notice.group !== null) {
        void goToGroup(notice.group, notice);
      }
    };
    const goToGroup = async (group: string, { title, source }: Notice): Promise<void> => {
      // Its output, else the notebook that asked, else the list.
      if (!(await guide.go([group], source)) && !(await guide.go([], source))) {
        showGroup({ group, title });
      }
    };
    const showGroup = (filter: GroupFilter): void => {
      model.filter = filter;
      shell.activateById(side.id);
    };
    groups.show = showGroup;
    const side = new Panel(model, threads, {
      openJob: job => void go(job, job),
      retry: job => retries.retry(job.id, job.cursor),
      openNotice,
      openThread,
      beginThread: () => asker.begin(),
      fork: (name, after) => asker.fork(name, after),
      rename: name => asker.rename(name),
      remove: name => asker.remove(name)
    });
    const speaker = new Speaker('BroadcastChannel' in window ? new BroadcastChannel('jupyter-bgstream') : null);
    new Toaster(model, preferences, speaker, openNotice);
    shell.add(side, 'left', { rank: 600, type: 'Background answers' });
    restorer?.add(side, side.id);
    if (lab === null) {
      // Notebook 7 hides its side panels, and with them the tab that bears the badge.
      shell.add(new Badge(model, () => shell.activateById(side.id)), 'top', { rank: 1000 });
    }
    followFragment(notebooks);
  }
};
