/** Dialogs that begin, fork, rename and delete threads. */

import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';

import { notifyFailure } from '../panel/rows';
import { clipped, isolated } from '../render/boundedText';
import { trans } from '../translation';
import type { ThreadsModel } from './threadsModel';

/** Jupyter's dialogs check a name by a pattern only. */
const NAME = '.{1,200}';

export class ThreadDialogs {
  /** @param open shows the thread of a name. */
  constructor(
    private readonly _threads: ThreadsModel,
    private readonly _open: (name: string) => void
  ) {}

  begin(): void {
    void askName({ title: trans.__('New thread'), label: trans.__('Its name'), okLabel: trans.__('Begin') }, name => {
      this._open(name);
      return Promise.resolve();
    });
  }

  fork(thread: string, after: string | null): void {
    const title = after === null ? trans.__('Fork %1', short(thread)) : trans.__('Fork %1 from here', short(thread));
    void askName({ title, label: trans.__('Name of the new thread'), okLabel: trans.__('Fork') }, async name => {
      await this._threads.fork(thread, name, after);
      this._open(name);
    });
  }

  rename(thread: string): void {
    const options = {
      title: trans.__('Rename %1', short(thread)),
      label: trans.__('New name'),
      okLabel: trans.__('Rename'),
      text: thread
    };
    void askName(options, async name => {
      if (name !== thread) {
        await this._threads.rename(thread, name);
      }
    });
  }

  remove(thread: string): void {
    void showDialog({
      title: trans.__('Delete this thread?'),
      body: trans.__(
        'All its jobs are stopped and their answers deleted from the server. Text that is saved in notebooks stays, and so do its forks. (%1)',
        isolated(thread)
      ),
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })]
    }).then(({ button }) => {
      if (button.accept) {
        notifyFailure(this._threads.remove(thread));
      }
    });
  }
}

/** Ask for a name until it is accepted or the dialog is cancelled. The dialog shows why the server refused a name. */
async function askName(
  options: { title: string; label: string; okLabel: string; text?: string },
  act: (name: string) => Promise<void>
): Promise<void> {
  let { text = '', label } = options;
  for (;;) {
    const answer = await InputDialog.getText({ ...options, text, label, required: true, pattern: NAME });
    if (!answer.button.accept || answer.value === null) {
      return;
    }
    text = answer.value;
    try {
      await act(text);
      return;
    } catch (error) {
      label = (error as Error).message;
    }
  }
}

function short(name: string): string {
  return isolated(clipped(name, 41));
}
