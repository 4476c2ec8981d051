/** Highlights cells of `%%bg` as prose. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { EditorExtensionRegistry, IEditorExtensionRegistry } from '@jupyterlab/codemirror';

import { promptCell } from '../editor/promptCell';

export const promptsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:prompts',
  description: 'Shows cells of %%bg as prose with expressions marked.',
  autoStart: true,
  requires: [IEditorExtensionRegistry],
  activate: (_, editors: IEditorExtensionRegistry) => {
    editors.addExtension({
      name: promptsPlugin.id,
      factory: ({ model }) =>
        'type' in model && model.type === 'code' ? EditorExtensionRegistry.createImmutableExtension(promptCell()) : null
    });
  }
};
