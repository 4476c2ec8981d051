/** Where jobs are in a notebook. */

import type { CodeCellModel, ICellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';

import { bundleOf, type Data } from './bundle';
import type { Bundle } from './wire';

/** A job in an output. */
export interface Place {
  cell: CodeCellModel;
  /** Of the output in the cell. */
  index: number;
  data: Data;
  bundle: Bundle;
}

/** Every job in the outputs of a notebook, in order. */
export function* places({ cells }: INotebookModel): Generator<Place> {
  for (const cell of cells) {
    for (let index = 0; isCode(cell) && index < cell.outputs.length; index++) {
      // Not `.data`, which copies every image of the notebook.
      const data = cell.outputs.get(index).toJSON().data as Data | undefined;
      const bundle = data && bundleOf(data);
      if (bundle) {
        yield { cell, index, data, bundle };
      }
    }
  }
}

/** The first place of one of these jobs. */
export function findJob(notebook: INotebookModel | null, jobs: readonly string[]): Place | null {
  for (const place of notebook === null ? [] : places(notebook)) {
    if (jobs.includes(place.bundle.id)) {
      return place;
    }
  }
  return null;
}

function isCode(cell: ICellModel): cell is CodeCellModel {
  return cell.type === 'code';
}
