/** Toasts about jobs that ended unseen, and about a sign-in that the page needs. */

import { Notification } from '@jupyterlab/apputils';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import type { Preferences } from '../plugins/answersToken';
import { isolated } from '../render/boundedText';
import { trans } from '../translation';
import { shortened } from '../views/format';
import { countsLabel } from '../views/jobLabels';
import { errorMessage } from '../views/errorMessages';
import { hasEnded } from '../wire/fold';
import type { NoticeInfo } from '../wire/types';
import { GRACE, type JobsModel } from './jobsModel';
import type { WindowElection } from './toastElection';

const CLOSES_AFTER = 10_000; // ms

const TITLES: Partial<Record<NoticeInfo['status'], (title: string) => string>> = {
  completed: title => trans.__('Answer ready: %1', title),
  failed: title => trans.__('Job failed: %1', title),
  cancelled: title => trans.__('Job stopped: %1', title),
  interrupted: title => trans.__('Job interrupted: %1', title)
};

export class Toaster implements IDisposable {
  isDisposed = false;

  constructor(
    private readonly _model: JobsModel,
    private readonly _preferences: Preferences,
    private readonly _election: Pick<WindowElection, 'mayShow'>,
    private readonly _open: (notice: NoticeInfo) => void
  ) {
    _model.arrived.connect(this._arrived, this);
    _model.changed.connect(this._tidy, this);
    _model.changed.connect(this._showDenial, this);
    document.addEventListener('visibilitychange', this._visible);
  }

  dispose(): void {
    this.isDisposed = true;
    document.removeEventListener('visibilitychange', this._visible);
    Signal.clearData(this);
  }

  private _arrived(_: JobsModel, notice: NoticeInfo): void {
    if (document.visibilityState === 'visible') {
      void this._show(notice);
    } else {
      this._waiting.push(notice); // a toast in a hidden page would be gone before it is visible
    }
  }

  /** The page is visible again: show toasts for the notices that its views do not show. */
  private readonly _visible = (): void => {
    if (document.visibilityState === 'visible') {
      const waiting = this._waiting.splice(0);
      setTimeout(() => waiting.forEach(notice => void this._show(notice)), GRACE);
    }
  };

  private async _show(notice: NoticeInfo): Promise<void> {
    const wanted = (): boolean => !this.isDisposed && this._preferences.toasts && this._model.calls(notice.id);
    if (!wanted() || !(await this._election.mayShow(notice.id)) || !wanted()) {
      return;
    }
    const toast = Notification.emit(messageOf(notice), notice.status === 'completed' ? 'success' : 'warning', {
      autoClose: CLOSES_AFTER,
      actions: [{ label: trans.__('Show'), caption: trans.__('Go to the cell'), callback: () => this._open(notice) }]
    });
    this._shown.set(notice.id, toast);
  }

  /** Dismiss the toasts of notices that were read or muted, here or in another tab. */
  private _tidy(): void {
    for (const [notice, toast] of this._shown) {
      if (!this._model.calls(notice)) {
        this._shown.delete(notice);
        Notification.dismiss(toast);
      }
    }
  }

  /** Show one toast while jobs run and the page needs a sign-in to see them. */
  private _showDenial(): void {
    const { denial, jobs } = this._model;
    if (denial === null && this._signIn !== null) {
      Notification.dismiss(this._signIn);
      this._signIn = null;
    }
    const waits = jobs.some(({ status }) => !hasEnded(status));
    if (denial?.code === 'signed_out' && waits && this._signIn === null && this._preferences.toasts) {
      this._signIn = Notification.emit(trans.__('Background answers: %1', denial.message), 'warning', {
        autoClose: false,
        actions: [
          {
            label: trans.__('Reload'),
            caption: trans.__('Reload this page'),
            callback: () => window.location.reload()
          }
        ]
      });
    }
  }

  /** The toast that asks to sign in. */
  private _signIn: string | null = null;
  /** Toasts by notice. */
  private readonly _shown = new Map<string, string>();
  private readonly _waiting: NoticeInfo[] = [];
}

function messageOf({ status, title, counts, paused }: NoticeInfo): string {
  if (counts === null) {
    return TITLES[status]?.(isolated(title)) ?? trans.__('Job: %1', isolated(title));
  }
  const name = title === '' ? trans.__('Batch') : isolated(title);
  if (paused == null) {
    return trans.__('%1: %2', name, countsLabel(counts));
  }
  const reason = isolated(shortened(errorMessage(paused)));
  return trans.__('%1: paused. %2 So far: %3', name, reason, countsLabel(counts));
}
