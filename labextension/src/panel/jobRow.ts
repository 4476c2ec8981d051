/** A job in the panel, with those that it asks again folded behind it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import { deleteIcon, refreshIcon, stopIcon } from '@jupyterlab/ui-components';

import { setText } from '../render/dom';
import { hasEnded } from '../wire/fold';
import type { Listed } from './jobListing';
import { clipped, isolated } from '../render/boundedText';
import type { JobsModel } from './jobsModel';
import { MuteButtons } from './mutes';
import { SubmitterLabel } from './submitters';
import { actionsOf, attempt, iconButton, mainButton, type Row, Rows, span } from './rows';
import {
  costWords,
  elapsedWords,
  previewWords,
  priceWords,
  shortWords,
  stateWords,
  tokenWords,
  waitWords
} from '../views/labels';
import type { Job } from '../wire/wire';

export interface JobActions {
  openJob(job: Job): void;
  retry(job: Job): Promise<void>;
}

export function jobRow(first: Listed, model: JobsModel, actions: JobActions): Row<Listed> {
  let { job } = first;
  const node = document.createElement('li');
  node.className = 'jp-bgstream-row';
  const [title, preview, state, mark, details] = [
    span('title'),
    span('preview'),
    span('state'),
    span('mark'),
    span('details')
  ];
  const facts = span('facts');
  const by = new SubmitterLabel();
  facts.append(state, mark, by.node, details);
  const open = mainButton(() => actions.openJob(job), title, preview, facts);
  const stop = iconButton('stop', 'Stop', stopIcon, () => attempt(model.cancel(job.id)));
  const retry = iconButton('retry', 'Retry', refreshIcon, () => {
    if (retry.getAttribute('aria-disabled') !== 'true') {
      retry.setAttribute('aria-disabled', 'true');
      attempt(actions.retry(job).finally(() => retry.removeAttribute('aria-disabled')));
    }
  });
  const mutes = new MuteButtons(model);
  const remove = iconButton('delete', 'Delete', deleteIcon, () => void askAndDelete(job, model));
  const earlier = new Earlier(model, actions);
  node.append(open, actionsOf(...mutes.nodes, remove, stop, retry), earlier.node);
  return {
    node,
    update: next => {
      job = next.job;
      const ended = hasEnded(job.status);
      node.dataset.job = job.id;
      node.dataset.state = job.status;
      setText(title, clipped(job.title));
      setText(preview, clipped(previewOf(job)));
      open.title = `Go to the cell\n${clipped(job.title)}`;
      setText(state, stateOf(job));
      setText(mark, next.overtaken ? 'earlier run of its cell' : '');
      mark.title = next.overtaken ? 'Its cell was run again since; this one goes on.' : '';
      by.update(next.named ? job.submitted_by : null);
      setText(details, detailsOf(job, model));
      details.title = [details.textContent, priceWords(job.cost)].filter(Boolean).join('\n');
      // One takes the other's place, and has the focus if that had it.
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

/** The jobs that a job asks again: a line to open, and their rows. */
class Earlier {
  readonly node = document.createElement('details');

  constructor(model: JobsModel, actions: JobActions) {
    this.node.className = 'jp-bgstream-behind';
    this._rows = new Rows<Listed>(each => jobRow(each, model, actions), '');
    this._summary.className = 'jp-bgstream-summary';
    this.node.append(this._summary, this._rows.node);
  }

  update(jobs: readonly Job[], named: boolean): void {
    this.node.hidden = jobs.length === 0;
    setText(this._summary, jobs.length === 1 ? 'Retry of 1 earlier job' : `Retry of ${jobs.length} earlier jobs`);
    this._rows.show(jobs.map(job => ({ id: job.id, job, earlier: [], overtaken: false, named })));
    for (const retry of this._rows.node.querySelectorAll<HTMLElement>('[data-action=retry]')) {
      retry.hidden = true; // its successor has that button
    }
  }

  private readonly _summary = document.createElement('summary');
  private readonly _rows: Rows<Listed>;
}

function stateOf({ status, finish_reason }: Job): string {
  // The list is not read at each word: whether a running job thinks or speaks, its view knows.
  return status === 'running' ? 'running…' : stateWords(status, finish_reason);
}

function previewOf({ status, error, preview }: Job): string {
  return error === null ? previewWords(preview) : status === 'waiting' ? shortWords(error.message) : error.message;
}

function detailsOf(job: Job, { now, denial }: JobsModel): string {
  const times = { queued: job.created_at, started: job.started_at, ended: job.ended_at };
  const wait = denial === null ? waitWords(job.not_before, job.error, now) : '';
  const time = job.status === 'waiting' ? wait : elapsedWords(times, now);
  return [time, tokenWords(job.usage), costWords(job.cost), clipped(job.model)].filter(Boolean).join(' · ');
}

async function askAndDelete(job: Job, model: JobsModel): Promise<void> {
  const answer = await showDialog({
    title: 'Delete this job?',
    body: `Its answer is deleted from the server${hasEnded(job.status) ? '' : ', and it is stopped first'}. What is saved in notebooks stays. (${isolated(job.title)})`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Delete' })]
  });
  if (answer.button.accept) {
    attempt(model.remove(job.id));
  }
}
