/** The row of a thread in the panel. */

import { copyIcon, deleteIcon, editIcon } from '@jupyterlab/ui-components';

import { iconButton, type Row, RowParts } from '../panel/rows';
import { clipped, isolated } from '../render/boundedText';
import { setText } from '../render/dom';
import { trans } from '../translation';
import { agoLabel, stateLabel } from '../views/jobLabels';
import type { ThreadInfo } from '../wire/types';
import type { ThreadActions } from './threadView';

export interface ThreadRowActions extends ThreadActions {
  openThread(name: string): void;
  /** Ask for a name, and open the thread of that name. */
  beginThread(): void;
}

export function threadRow({ name }: ThreadInfo, actions: ThreadRowActions): Row<ThreadInfo> {
  const parts = new RowParts(
    () => actions.openThread(name),
    iconButton('fork', trans.__('Fork the thread %1', name), copyIcon, () => actions.fork(name, null)),
    iconButton('rename', trans.__('Rename the thread %1', name), editIcon, () => actions.rename(name)),
    iconButton('delete', trans.__('Delete the thread %1', name), deleteIcon, () => actions.remove(name))
  );
  const { node, title, preview, state, details } = parts;
  node.dataset.thread = name;
  parts.facts.append(state, details);
  parts.main.title = `${trans.__('Open the thread')}\n${name}`;
  setText(title, name);
  return {
    node,
    update: thread => {
      node.dataset.state = thread.status;
      setText(preview, clipped(thread.title));
      setText(state, stateLabel(thread.status, null));
      setText(details, detailsOf(thread));
    }
  };
}

function detailsOf({ jobs, model, updated_at, forked_from }: ThreadInfo): string {
  return [
    forked_from === null ? '' : trans.__('forked from %1', isolated(forked_from)),
    jobs === 0 ? '' : trans._n('%1 job', '%1 jobs', jobs),
    isolated(model),
    agoLabel(updated_at)
  ]
    .filter(Boolean)
    .join(' · ');
}
