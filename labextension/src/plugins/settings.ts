/** Loads the settings. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { IAnswers } from './answersToken';

export const settingsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:plugin',
  description: 'Loads the settings of background answers.',
  autoStart: true,
  requires: [IAnswers, ISettingRegistry],
  activate: async (_, { preferences }: IAnswers, registry: ISettingRegistry) => {
    const loaded = await registry.load(settingsPlugin.id);
    const read = (): void => {
      const { remoteImages, toasts } = loaded.composite;
      Object.assign(preferences, { remoteImages: remoteImages === true, toasts: toasts !== false });
    };
    loaded.changed.connect(read);
    read();
  }
};
