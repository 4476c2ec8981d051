/** Buttons that mute the notices of a notebook or a thread. */

import { bellIcon, type LabIcon } from '@jupyterlab/ui-components';

import { clipped } from '../render/boundedText';
import { element, setText, textButton } from '../render/dom';
import { trans } from '../translation';
import type { JobInfo, Mute } from '../wire/types';
import { threadIcon } from './icons';
import type { JobsModel } from './jobsModel';
import { iconButton, notifyFailure, type Row } from './rows';

const ICONS: Record<Mute['kind'], LabIcon> = { notebook: bellIcon, thread: threadIcon };

/** The toggles of a row, one for each thing that can be muted. */
export class MuteButtons {
  readonly nodes: readonly HTMLButtonElement[];

  constructor(private readonly _model: JobsModel) {
    this._buttons = (['notebook', 'thread'] as const).map(kind => {
      const button = iconButton(`mute-${kind}`, '', ICONS[kind], () => {
        const name = this._names[kind];
        if (name !== null) {
          notifyFailure(_model.mute({ kind, name }, !_model.isMuted({ kind, name })));
        }
      });
      return { kind, button };
    });
    this.nodes = this._buttons.map(({ button }) => button);
  }

  update({ source, thread }: Pick<JobInfo, 'source' | 'thread'>): void {
    this._names = { notebook: source.notebook, thread };
    for (const { kind, button } of this._buttons) {
      const name = this._names[kind];
      button.hidden = name === null;
      if (name !== null) {
        // The label names the action and the state says whether it is on: a screen reader reads both.
        const caption =
          kind === 'thread' ? trans.__('Mute the thread %1', name) : trans.__('Mute the notebook %1', name);
        const muted = this._model.isMuted({ kind, name });
        button.setAttribute('aria-label', caption);
        button.setAttribute('aria-pressed', String(muted));
        button.title = muted ? trans.__('%1 (it is muted: no toast, not counted)', caption) : caption;
      }
    }
  }

  private _names: Record<Mute['kind'], string | null> = { notebook: null, thread: null };
  private readonly _buttons: readonly { kind: Mute['kind']; button: HTMLButtonElement }[];
}

export type MuteItem = Mute & { id: string };

/** Make the row of a mute, with a button that removes it, also when none of its jobs is listed any more. */
export function muteRow(mute: MuteItem, model: JobsModel): Row<MuteItem> {
  const unmute = (): void => notifyFailure(model.mute({ kind: mute.kind, name: mute.name }, false));
  const name = element('span', 'name');
  const remove = textButton('unmute', trans.__('Unmute'), unmute);
  remove.setAttribute(
    'aria-label',
    mute.kind === 'thread' ? trans.__('Unmute the thread %1', mute.name) : trans.__('Unmute the notebook %1', mute.name)
  );
  const node = document.createElement('li');
  node.dataset.mute = mute.kind;
  node.append(name, remove);
  return {
    node,
    update: ({ kind, name: full }) => {
      const words = clipped(full);
      setText(name, kind === 'thread' ? trans.__('thread %1', words) : trans.__('notebook %1', words));
    }
  };
}
