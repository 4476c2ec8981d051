/** A thread in the panel. */

import { copyIcon, deleteIcon, editIcon } from '@jupyterlab/ui-components';

import { setText } from '../render/dom';
import { clipped, isolated } from '../render/boundedText';
import { actionsOf, iconButton, mainButton, type Row, span } from '../panel/rows';
import type { ThreadActions } from './view';
import { durationWords, stateWords } from '../views/labels';
import type { Thread } from '../wire/wire';

export interface ThreadRowActions extends ThreadActions {
  openThread(name: string): void;
  /** Ask for a name, and open the thread of that name. */
  beginThread(): void;
}

export function threadRow({ name }: Thread, actions: ThreadRowActions): Row<Thread> {
  const node = document.createElement('li');
  node.className = 'jp-bgstream-row';
  node.dataset.thread = name;
  const [title, preview, state, details] = [span('title'), span('preview'), span('state'), span('details')];
  const facts = span('facts');
  facts.append(state, details);
  const open = mainButton(() => actions.openThread(name), title, preview, facts);
  open.title = `Open the thread\n${name}`;
  setText(title, name);
  node.append(
    open,
    actionsOf(
      iconButton('fork', `Fork the thread ${name}`, copyIcon, () => actions.fork(name, null)),
      iconButton('rename', `Rename the thread ${name}`, editIcon, () => actions.rename(name)),
      iconButton('delete', `Delete the thread ${name}`, deleteIcon, () => actions.remove(name))
    )
  );
  return {
    node,
    update: thread => {
      node.dataset.state = thread.status;
      setText(preview, clipped(thread.title));
      setText(state, thread.status === 'running' ? 'running…' : stateWords(thread.status, null));
      setText(details, detailsOf(thread));
    }
  };
}

function detailsOf({ jobs, model, updated_at, forked_from }: Thread): string {
  return [
    forked_from === null ? '' : `forked from ${isolated(forked_from)}`,
    jobs === 0 ? '' : jobs === 1 ? '1 job' : `${jobs} jobs`,
    isolated(model),
    `${durationWords(Date.now() / 1000 - updated_at)} ago`
  ]
    .filter(Boolean)
    .join(' · ');
}
