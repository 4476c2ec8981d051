/**
 * Draws jobs and batches in outputs, and creates the socket and the feeds that all plugins share.
 *
 * It requires few other plugins, so that it is active before a notebook opens and clones the renderers.
 */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator } from '@jupyterlab/translation';

import { copyAnswers } from '../outputs/clipboard';
import { rendererFactory } from '../outputs/mimeRenderers';
import { safeMarkdown } from '../render/labMarkdown';
import { setTranslation } from '../translation';
import { AnswerView } from '../views/answerView';
import { BatchView } from '../views/batchView';
import { PAGE_GLOBALS, type PageGlobals } from '../views/sharedPage';
import { checkAccess } from '../wire/loginCheck';
import { Batches } from '../wire/liveBatches';
import { Live } from '../wire/liveJobs';
import { Requests } from '../wire/restClient';
import { RetryChains } from '../wire/retryChains';
import { IAnswers, type Preferences } from './answersToken';

export const rendererPlugin: JupyterFrontEndPlugin<IAnswers> = {
  id: 'jupyter-bgstream:renderer',
  description: 'Shows background jobs in outputs.',
  autoStart: true,
  provides: IAnswers,
  requires: [IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (app, registry: IRenderMimeRegistry, translator: ITranslator | null) => {
    if (translator !== null) {
      setTranslation(translator.load('jupyter_bgstream'));
    }
    const requests = new Requests(app.serviceManager.serverSettings);
    const live = new Live({
      url: () => requests.liveUrl(),
      WebSocket: requests.WebSocket,
      cancel: job => requests.cancel(job),
      image: (job, { id }) => requests.image(job, id),
      access: () => checkAccess(app.serviceManager.serverSettings)
    });
    const preferences: Preferences = { remoteImages: false, toasts: true };
    const markdown = safeMarkdown(registry, () => preferences.remoteImages);
    const retries = new RetryChains(live, requests);
    const batches = new Batches(live, requests);
    const context = { source: live, retries, markdown, batches };
    registry.addFactory(rendererFactory(context));
    const globals: PageGlobals = {
      live,
      retries,
      markdown,
      batches,
      answer: options => new AnswerView({ ...options, ...context }),
      batch: options => new BatchView({ ...options, batches })
    };
    Object.assign(globalThis, { [PAGE_GLOBALS]: globals });
    document.addEventListener('copy', copyAnswers);
    return { live, requests, retries, markdown, batches, preferences };
  }
};
