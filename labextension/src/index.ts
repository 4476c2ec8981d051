/** The extension for JupyterLab and Notebook: its plugins. */

import { PageConfig } from '@jupyterlab/coreutils';

import { panelPlugin } from './plugins/panel';
import { promptsPlugin } from './plugins/promptCells';
import { rendererPlugin } from './plugins/renderer';
import { saverPlugin } from './plugins/saver';
import { settingsPlugin } from './plugins/settings';

export { IAnswers } from './plugins/answersToken';

/**
 * Voilà loads into its pages every extension of JupyterLab whose shared packages it has. Its pages are for visitors:
 * they must not show the owner's jobs, and their server may not have this API. There kernels relay answers to widgets.
 */
const isVoila = PageConfig.getOption('appUrl') === 'voila/';

export default isVoila ? [] : [rendererPlugin, settingsPlugin, saverPlugin, panelPlugin, promptsPlugin];
