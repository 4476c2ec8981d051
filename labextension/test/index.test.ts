import { beforeEach, expect, it, vi } from 'vitest';

vi.mock('../src/plugins/renderer', () => ({ rendererPlugin: 'renderer' }));
vi.mock('../src/plugins/settings', () => ({ settingsPlugin: 'settings' }));
vi.mock('../src/plugins/saver', () => ({ saverPlugin: 'saver' }));
vi.mock('../src/plugins/panel', () => ({ panelPlugin: 'panel' }));
vi.mock('../src/plugins/promptCells', () => ({ promptsPlugin: 'prompts' }));

async function load(appUrl: string): Promise<unknown> {
  const { PageConfig } = await import('@jupyterlab/coreutils');
  PageConfig.setOption('appUrl', appUrl);
  const { default: plugins } = (await import('../src/index')) as { default: unknown };
  return plugins;
}

beforeEach(() => vi.resetModules());

it('has five plugins for JupyterLab and Notebook', async () => {
  expect(await load('/lab')).toEqual(['renderer', 'settings', 'saver', 'panel', 'prompts']);
});

it('has no plugins for a page of Voilà', async () => {
  expect(await load('voila/')).toEqual([]);
});
