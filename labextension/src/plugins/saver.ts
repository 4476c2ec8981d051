/** Writes answers into notebook files. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';

import { OutputSaver } from '../outputs/outputSaver';
import { CommandIDs } from './commandIds';
import { IAnswers } from './answersToken';

export const saverPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-bgstream:saver',
  description: 'Puts answers into the notebook when it is saved.',
  autoStart: true,
  requires: [IAnswers, INotebookTracker],
  optional: [IDocumentManager],
  activate: (
    { commands },
    { live, retries, batches }: IAnswers,
    notebooks: INotebookTracker,
    documents: IDocumentManager | null
  ) => {
    const maySave = (): boolean => documents?.autosave !== false;
    const savers = new Map<unknown, OutputSaver>();
    const open = (panel: NotebookPanel): void => {
      savers.set(panel.content, new OutputSaver(panel, { live, retries, batches, maySave }));
      panel.disposed.connect(() => savers.delete(panel.content));
    };
    notebooks.forEach(open);
    notebooks.widgetAdded.connect((_, panel) => open(panel));
    NotebookActions.executed.connect((_, { notebook, cell }) => savers.get(notebook)?.ran(cell));
    // Where the server saves each change, this command saves nothing, and users still expect the answers.
    commands.commandExecuted.connect((_, { id }) => {
      if (id === CommandIDs.save) {
        savers.get(notebooks.currentWidget?.content)?.writeMissingEnds();
      }
    });
  }
};
