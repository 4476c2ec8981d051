/** A notice in the inbox: of a job or of a group. */

import { checkIcon, closeIcon } from '@jupyterlab/ui-components';

import { setText } from '../render/dom';
import { clipped } from '../render/boundedText';
import type { JobsModel } from './jobsModel';
import { MuteButtons } from './mutes';
import { actionsOf, attempt, iconButton, mainButton, type Row, span } from './rows';
import { countWords, durationWords, previewWords, stateWords } from '../views/labels';
import type { End, Notice } from '../wire/wire';

export interface NoticeActions {
  /** Goes to what ended, and what was opened is read. */
  openNotice(notice: Notice): void;
}

export function noticeRow(first: Notice, model: JobsModel, actions: NoticeActions): Row<Notice> {
  let notice = first;
  const node = document.createElement('li');
  node.className = 'jp-bgstream-row jp-bgstream-notice';
  node.dataset.notice = notice.id;
  const [title, preview, state, mark, details] = [
    span('title'),
    span('preview'),
    span('state'),
    span('mark'),
    span('details')
  ];
  const facts = span('facts');
  facts.append(state, details, mark);
  const open = mainButton(() => actions.openNotice(notice), title, preview, facts);
  const read = iconButton('mark-read', 'Mark read', checkIcon, () => attempt(model.markRead(notice.id)));
  const mutes = new MuteButtons(model);
  const dismiss = iconButton('dismiss', 'Dismiss', closeIcon, () => attempt(model.dismiss(notice.id)));
  node.append(open, actionsOf(read, ...mutes.nodes, dismiss));
  return {
    node,
    update: next => {
      notice = next;
      const { job, group, counts, status, paused } = notice;
      if (job !== null) {
        node.dataset.job = job;
      }
      if (group !== null) {
        node.dataset.group = group;
      }
      node.dataset.state = paused == null ? status : 'paused';
      node.dataset.unread = String(notice.read_at === null);
      node.dataset.muted = String(notice.muted);
      setText(title, clipped(notice.title) || (group === null ? '' : 'Group of jobs'));
      // Why it did not succeed says more than its first words.
      const error = job === null ? undefined : model.job(job)?.error?.message;
      const words = counts === null ? (error ?? previewWords(notice.preview)) : countWords(counts);
      setText(preview, clipped(paused == null ? words : `${words}. ${paused.message}`));
      open.title = `${job === null ? 'Go to its jobs' : 'Go to the cell'}\n${clipped(notice.title)}`;
      setText(
        state,
        group === null ? stateWords(status as End, null) : paused == null ? 'group ended' : 'group paused'
      );
      setText(mark, notice.muted ? 'muted' : '');
      setText(details, `${durationWords(Date.now() / 1000 - notice.created_at)} ago`);
      read.hidden = notice.read_at !== null;
      mutes.update(notice);
    }
  };
}
