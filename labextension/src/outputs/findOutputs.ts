/** The outputs of a notebook that have jobs or batches. */

import type { CodeCellModel, ICellModel } from '@jupyterlab/cells';
import type { INotebookModel } from '@jupyterlab/notebook';

import type { BatchBundle, Bundle } from '../wire/types';
import { batchOf, bundlesOf, type OutputData } from './mimebundle';

/** Jobs, or a batch, in an output. */
export interface JobOutput {
  cell: CodeCellModel;
  /** Index of the output in the cell. */
  index: number;
  data: OutputData;
  /** Several jobs if they are side by side; none for a batch. */
  jobs: readonly Bundle[];
  batch: BatchBundle | null;
}

/** Yield each output of a notebook with jobs or a batch, in order. */
export function* jobOutputs({ cells }: INotebookModel): Generator<JobOutput> {
  for (const cell of cells) {
    for (let index = 0; isCode(cell) && index < cell.outputs.length; index++) {
      // Not `.data`, which copies every image of the notebook.
      const data = cell.outputs.get(index).toJSON().data as OutputData | undefined;
      const jobs = data ? bundlesOf(data) : [];
      const batch = data ? batchOf(data) : null;
      if (data && (jobs.length > 0 || batch !== null)) {
        yield { cell, index, data, jobs, batch };
      }
    }
  }
}

/** Return the ids of an output's jobs, or of its batch. */
export function idsOf({ jobs, batch }: JobOutput): readonly string[] {
  return batch === null ? jobs.map(({ id }) => id) : [batch.id];
}

/** Return the first output of one of these jobs or batches. */
export function findJob(notebook: INotebookModel | null, ids: readonly string[]): JobOutput | null {
  for (const place of notebook === null ? [] : jobOutputs(notebook)) {
    if (idsOf(place).some(id => ids.includes(id))) {
      return place;
    }
  }
  return null;
}

function isCode(cell: ICellModel): cell is CodeCellModel {
  return cell.type === 'code';
}
