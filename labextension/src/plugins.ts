/** The plugins: wiring and nothing else. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { Live } from './live';
import { safeMarkdown } from './markdown';
import { rendererFactory } from './mime';
import { Requests } from './request';
import { IAnswers, type Preferences, SHARED } from './tokens';

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
      cancel: job => requests.cancel(job)
    });
    const preferences: Preferences = { remoteImages: false, toasts: true };
    const markdown = safeMarkdown(registry, () => preferences.remoteImages);
    registry.addFactory(rendererFactory({ source: live, markdown }));
    Object.assign(globalThis, { [SHARED]: { live, markdown } });
    return { live, requests, markdown, preferences };
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
