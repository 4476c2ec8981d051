/** Navigation from a job to its cell. */

import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import { type INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { findJob } from '../outputs/findOutputs';
import type { SourceInfo } from '../wire/types';

const FRAGMENT = '#cell-id=';
const LOOK_EVERY = 150; // ms
const LOOKS = 20;
/** Checks in a row at which the cell must be visible. */
const STEADY = 4;

export class JobNavigator {
  constructor(
    private readonly _shell: JupyterFrontEnd.IShell,
    private readonly _documents: IDocumentManager,
    private readonly _notebooks: INotebookTracker
  ) {}

  /**
   * Show the cell of any of these jobs, which are one chain of retries; without jobs, the source's notebook.
   *
   * Returns whether it exists, as far as this page can know.
   */
  async go(jobs: readonly string[], source: SourceInfo | null): Promise<boolean> {
    const open = this._notebooks.find(panel => findJob(panel.context.model, jobs) !== null);
    if (open !== undefined) {
      this._reveal(open, jobs, source);
      return true;
    }
    if (source?.notebook == null || !(await this._exists(source.notebook))) {
      return false;
    }
    if (isNotebook7() && this._documents.findWidget(source.notebook) === undefined) {
      // In Notebook each notebook is a separate page.
      const address = URLExt.join(PageConfig.getBaseUrl(), 'notebooks', URLExt.encodeParts(source.notebook));
      window.open(address + fragment(source.cell), '_blank');
      return true;
    }
    const panel = this._documents.openOrReveal(source.notebook);
    if (!(panel instanceof NotebookPanel)) {
      return false;
    }
    await panel.revealed;
    if (jobs.length > 0 && findJob(panel.context.model, jobs) === null) {
      return false; // its cell was deleted, or the output never saved
    }
    this._reveal(panel, jobs, source);
    return true;
  }

  /** Lab shows a dialog for a missing file; an open notebook may not have a file yet. */
  private async _exists(path: string): Promise<boolean> {
    if (this._documents.findWidget(path) !== undefined) {
      return true;
    }
    try {
      await this._documents.services.contents.get(path, { content: false });
      return true;
    } catch {
      return false;
    }
  }

  private _reveal(panel: NotebookPanel, jobs: readonly string[], source: SourceInfo | null): void {
    this._shell.activateById(panel.id);
    void scrollTo(panel, findJob(panel.context.model, jobs)?.cell.id ?? source?.cell ?? null);
  }
}

/** Notebook 7 does not follow the address's fragment when a page opens; Lab does. */
export function followFragment(notebooks: INotebookTracker): void {
  const { hash } = window.location;
  if (!isNotebook7() || !hash.startsWith(FRAGMENT)) {
    return;
  }
  const cell = decodeURIComponent(hash.slice(FRAGMENT.length));
  const follow = (panel: NotebookPanel): void => void panel.revealed.then(() => scrollTo(panel, cell));
  if (notebooks.currentWidget !== null) {
    follow(notebooks.currentWidget);
    return;
  }
  const first = (_: unknown, panel: NotebookPanel): void => {
    notebooks.widgetAdded.disconnect(first);
    follow(panel);
  };
  notebooks.widgetAdded.connect(first);
}

/** Scroll to a cell repeatedly until it stays visible: cells of a newly opened notebook still grow. */
async function scrollTo(panel: NotebookPanel, cell: string | null): Promise<void> {
  const index = panel.content.widgets.findIndex(({ model }) => model.id === cell);
  const widget = panel.content.widgets[index];
  if (widget === undefined) {
    return;
  }
  const touched = new AbortController();
  for (const input of ['wheel', 'pointerdown', 'keydown']) {
    document.addEventListener(input, () => touched.abort(), { signal: touched.signal, capture: true });
  }
  panel.content.activeCellIndex = index;
  let steady = 0;
  for (let look = 0; look < LOOKS && steady < STEADY && !touched.signal.aborted && !panel.isDisposed; look++) {
    if (isInSight(widget.node)) {
      steady++;
    } else {
      steady = 0;
      panel.setFragment(fragment(cell));
    }
    await new Promise(resolve => setTimeout(resolve, LOOK_EVERY));
  }
  touched.abort();
}

function isInSight(node: HTMLElement): boolean {
  const { top, height } = node.getBoundingClientRect();
  return height > 0 && top >= 0 && top < window.innerHeight * 0.8;
}

export function isNotebook7(): boolean {
  return PageConfig.getOption('notebookPage') !== '';
}

function fragment(cell: string | null): string {
  return cell === null ? '' : FRAGMENT + encodeURIComponent(cell);
}
