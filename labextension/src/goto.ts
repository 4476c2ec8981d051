/** The way from a job to the cell that asked for it. */

import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import { type INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { findJob } from './places';
import type { Origin } from './wire';

const FRAGMENT = '#cell-id=';

export class Guide {
  constructor(
    private readonly _shell: JupyterFrontEnd.IShell,
    private readonly _documents: IDocumentManager,
    private readonly _notebooks: INotebookTracker
  ) {}

  /** Show the job's cell. Returns why that is not possible, or null. */
  async go(job: string, source: Origin | null): Promise<string | null> {
    const open = this._notebooks.find(panel => findJob(panel.context.model, job) !== null);
    if (open !== undefined) {
      this._reveal(open, job, source);
      return null;
    }
    if (source?.notebook == null) {
      return 'This job was not asked for in a notebook.';
    }
    if (isNotebook7() && this._documents.findWidget(source.notebook) === undefined) {
      // There each notebook is a page of its own.
      const address = URLExt.join(PageConfig.getBaseUrl(), 'notebooks', URLExt.encodeParts(source.notebook));
      window.open(address + fragment(source.cell), '_blank');
      return null;
    }
    const panel = this._documents.openOrReveal(source.notebook);
    if (panel instanceof NotebookPanel) {
      await panel.revealed;
      this._reveal(panel, job, source);
    }
    return null;
  }

  private _reveal(panel: NotebookPanel, job: string, source: Origin | null): void {
    this._shell.activateById(panel.id);
    const cell = findJob(panel.context.model, job)?.cell.id ?? source?.cell ?? null;
    const index = panel.content.widgets.findIndex(({ model }) => model.id === cell);
    if (index >= 0) {
      panel.content.activeCellIndex = index;
    }
    panel.setFragment(fragment(cell));
  }
}

/** Notebook 7 does not follow the address's fragment when a page opens; Lab does. */
export function followFragment(notebooks: INotebookTracker): void {
  const { hash } = window.location;
  if (!isNotebook7() || !hash.startsWith(FRAGMENT)) {
    return;
  }
  const follow = (_: unknown, panel: NotebookPanel): void => {
    notebooks.widgetAdded.disconnect(follow);
    void panel.revealed.then(() => panel.setFragment(hash));
  };
  notebooks.widgetAdded.connect(follow);
}

function isNotebook7(): boolean {
  return PageConfig.getOption('notebookPage') !== '';
}

function fragment(cell: string | null): string {
  return cell === null ? '' : FRAGMENT + encodeURIComponent(cell);
}
