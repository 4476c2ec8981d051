/** The row of a job in the panel, with the jobs that it retries collapsed below. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import { deleteIcon, refreshIcon, stopIcon } from '@jupyterlab/ui-components';

import { clipped, isolated } from '../render/boundedText';
import { element, setText } from '../render/dom';
import { trans } from '../translation';
import { formatCost, previewText, shortened } from '../views/format';
import { costSource, elapsedLabel, stateLabel, tokenLabel, waitLabel } from '../views/jobLabels';
import { errorMessage } from '../views/errorMessages';
import { hasEnded } from '../wire/fold';
import type { JobInfo } from '../wire/types';
import type { JobItem } from './jobListing';
import type { JobsModel } from './jobsModel';
import { MuteButtons } from './mutes';
import { iconButton, notifyFailure, type Row, RowParts, Rows } from './rows';
import { SubmitterLabel } from './submitters';

export interface JobActions {
  openJob(job: JobInfo): void;
  retry(job: JobInfo): Promise<void>;
}

export function jobRow(first: JobItem, model: JobsModel, actions: JobActions): Row<JobItem> {
  let { job } = first;
  const by = new SubmitterLabel();
  const stop = iconButton('stop', trans.__('Stop'), stopIcon, () => notifyFailure(model.cancel(job.id)));
  const retry = iconButton('retry', trans.__('Retry'), refreshIcon, () => {
    if (retry.getAttribute('aria-disabled') !== 'true') {
      retry.setAttribute('aria-disabled', 'true');
      notifyFailure(actions.retry(job).finally(() => retry.removeAttribute('aria-disabled')));
    }
  });
  const mutes = new MuteButtons(model);
  const remove = iconButton('delete', trans.__('Delete'), deleteIcon, () => void askAndDelete(job, model));
  const earlier = new Earlier(model, actions);
  const parts = new RowParts(() => actions.openJob(job), ...mutes.nodes, remove, stop, retry);
  const { node, title, preview, state, mark, details } = parts;
  parts.facts.append(state, mark, by.node, details);
  node.append(earlier.node);
  return {
    node,
    update: next => {
      job = next.job;
      const ended = hasEnded(job.status);
      node.dataset.job = job.id;
      node.dataset.state = job.status;
      setText(title, clipped(job.title));
      setText(preview, clipped(previewOf(job)));
      parts.main.title = `${trans.__('Go to the cell')}\n${clipped(job.title)}`;
      setText(state, stateLabel(job.status, job.finish_reason));
      setText(mark, next.overtaken ? trans.__('earlier run of its cell') : '');
      mark.title = next.overtaken ? trans.__('Its cell was run again; this job continues.') : '';
      by.update(next.named ? job.submitted_by : null);
      setText(details, detailsOf(job, model));
      details.title = [details.textContent, costSource(job.cost)].filter(Boolean).join('\n');
      // One button replaces the other and takes its focus.
      const focused = document.activeElement === stop || document.activeElement === retry;
      stop.hidden = ended;
      retry.hidden = !ended;
      retry.dataset.quiet = String(job.status === 'completed');
      if (focused && document.activeElement !== (ended ? retry : stop)) {
        (ended ? retry : stop).focus();
      }
      mutes.update(job);
      earlier.update(next.earlier, next.named);
    }
  };
}

/** The jobs that a job retries: a line to open, and their rows. */
class Earlier {
  readonly node = element('details', 'behind');

  constructor(model: JobsModel, actions: JobActions) {
    this._rows = new Rows<JobItem>(each => jobRow(each, model, actions), '');
    this.node.append(this._summary, this._rows.node);
  }

  update(jobs: readonly JobInfo[], named: boolean): void {
    this.node.hidden = jobs.length === 0;
    setText(this._summary, trans._n('Retry of %1 earlier job', 'Retry of %1 earlier jobs', jobs.length));
    this._rows.show(jobs.map(job => ({ id: job.id, job, earlier: [], overtaken: false, named })));
    for (const retry of this._rows.node.querySelectorAll<HTMLElement>('[data-action=retry]')) {
      retry.hidden = true; // its successor has that button
    }
  }

  private readonly _summary = element('summary', 'summary');
  private readonly _rows: Rows<JobItem>;
}

function previewOf({ status, error, preview }: JobInfo): string {
  if (error === null) {
    return previewText(preview);
  }
  const message = errorMessage(error);
  return status === 'waiting' ? shortened(message) : message;
}

function detailsOf(job: JobInfo, { now, denial }: JobsModel): string {
  const times = { queued: job.created_at, started: job.started_at, ended: job.ended_at };
  const wait = denial === null ? waitLabel(job.not_before, job.error, now) : '';
  const time = job.status === 'waiting' ? wait : elapsedLabel(times, now);
  return [time, tokenLabel(job.usage), formatCost(job.cost), clipped(job.model)].filter(Boolean).join(' · ');
}

async function askAndDelete(job: JobInfo, model: JobsModel): Promise<void> {
  const title = isolated(job.title);
  const answer = await showDialog({
    title: trans.__('Delete this job?'),
    body: hasEnded(job.status)
      ? trans.__('Its answer is deleted from the server. Text that is saved in notebooks stays. (%1)', title)
      : trans.__(
          'It is stopped, and its answer is deleted from the server. Text that is saved in notebooks stays. (%1)',
          title
        ),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })]
  });
  if (answer.button.accept) {
    notifyFailure(model.remove(job.id));
  }
}
