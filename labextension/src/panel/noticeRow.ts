/** The row of a notice in the inbox: of a job or of a batch. */

import { checkIcon, closeIcon } from '@jupyterlab/ui-components';

import { clipped } from '../render/boundedText';
import { setText } from '../render/dom';
import { trans } from '../translation';
import { batchState, batchStateLabel } from '../views/batchLabels';
import { previewText } from '../views/format';
import { agoLabel, countsLabel, label, stateLabel } from '../views/jobLabels';
import { errorMessage } from '../views/errorMessages';
import type { NoticeInfo } from '../wire/types';
import type { JobsModel } from './jobsModel';
import { MuteButtons } from './mutes';
import { iconButton, notifyFailure, type Row, RowParts } from './rows';

export interface NoticeActions {
  /** Go to the job or batch and mark the notice as read. */
  openNotice(notice: NoticeInfo): void;
}

export function noticeRow(first: NoticeInfo, model: JobsModel, actions: NoticeActions): Row<NoticeInfo> {
  let notice = first;
  const read = iconButton('mark-read', trans.__('Mark read'), checkIcon, () =>
    notifyFailure(model.markRead(notice.id))
  );
  const mutes = new MuteButtons(model);
  const dismiss = iconButton('dismiss', trans.__('Dismiss'), closeIcon, () => notifyFailure(model.dismiss(notice.id)));
  const parts = new RowParts(() => actions.openNotice(notice), read, ...mutes.nodes, dismiss);
  const { node, title, preview, state, mark, details } = parts;
  parts.facts.append(state, details, mark);
  node.classList.add('jp-bgstream-notice');
  node.dataset.notice = notice.id;
  return {
    node,
    update: next => {
      notice = next;
      const { job, batch, counts, status, paused } = notice;
      if (job !== null) {
        node.dataset.job = job;
      }
      if (batch !== null) {
        node.dataset.batch = batch;
      }
      node.dataset.state = paused == null ? status : 'paused';
      node.dataset.unread = String(notice.read_at === null);
      node.dataset.muted = String(notice.muted);
      setText(title, clipped(notice.title) || (batch === null ? '' : trans.__('Batch')));
      // The reason of a failure is more useful than the first words.
      const error = job === null ? null : (model.job(job)?.error ?? null);
      const words =
        counts !== null ? countsLabel(counts) : error === null ? previewText(notice.preview) : errorMessage(error);
      setText(preview, clipped(paused == null ? words : `${words}. ${errorMessage(paused)}`));
      parts.main.title = `${job === null ? trans.__('Go to its jobs') : trans.__('Go to the cell')}\n${clipped(notice.title)}`;
      setText(state, stateOf(notice));
      setText(mark, notice.muted ? trans.__('muted') : '');
      setText(details, agoLabel(notice.created_at));
      read.hidden = notice.read_at !== null;
      mutes.update(notice);
    }
  };
}

function stateOf({ status, counts, paused }: NoticeInfo): string {
  if (counts === null) {
    return stateLabel(status, null);
  }
  return trans.__('Batch: %1', paused == null ? batchStateLabel(batchState({ status, counts })) : label('paused'));
}
