/** The extension for JupyterLab and Notebook: its plugins. */

import { PageConfig } from '@jupyterlab/coreutils';

import { panelPlugin } from './plugins/panel';
import { promptsPlugin } from './plugins/prompts';
import { rendererPlugin } from './plugins/renderer';
import { saverPlugin } from './plugins/saver';
import { settingsPlugin } from './plugins/settings';

export { IAnswers } from './plugins/tokens';

/**
 * Voilà loads every extension of JupyterLab into its pages that finds there what it shares with Lab. These pages are
 * for visitors, who see what a notebook shows and not its owner's jobs, and their server may not have this API: kernels
 * relay answers to widgets instead.
 */
const isVoila = PageConfig.getOption('appUrl') === 'voila/';

export default isVoila ? [] : [rendererPlugin, settingsPlugin, saverPlugin, panelPlugin, promptsPlugin];
