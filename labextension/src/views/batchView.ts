/** The view of a batch: its progress, speed, cost and buttons. Plain DOM, like the view of a job. */

import { clipped } from '../render/boundedText';
import { element, setText } from '../render/dom';
import { trans } from '../translation';
import type { BatchFeed } from '../wire/liveBatches';
import type { Denial, Disposable } from '../wire/jobFeed';
import { hasEnded } from '../wire/fold';
import type { BatchBundle, EndCounts, ErrorInfo, BatchInfo } from '../wire/types';
import {
  type BatchSnapshot,
  batchState,
  type BatchState,
  batchStateLabel,
  batchTroubleMessage,
  pausedMessage,
  progressLabel,
  remainingTimeLabel,
  retryRowsLabel,
  speedLabel,
  stalledMessage
} from './batchLabels';
import { BatchRate, endedOf } from './batchRate';
import { formatNumber } from './format';
import { elapsedLabel } from './jobLabels';
import { ProgressBar } from './progressBar';
import { ViewShell } from './viewShell';

export interface BatchOptions {
  /** The batch's id. */
  batch: string;
  /** The batch in the notebook's file, or null. */
  saved: Omit<BatchBundle, 'id'> | null;
  batches: BatchFeed;
}

const NO_JOBS = { running: 0, waiting: 0, queued: 0 };
const NO_COUNTS: EndCounts = { completed: 0, failed: 0, cancelled: 0, interrupted: 0 };

export class BatchView {
  constructor(private readonly _options: BatchOptions) {
    this._build();
    this._show();
    this._following = _options.batches.follow(_options.batch, (batch, trouble) => this._update(batch, trouble));
  }

  get node(): HTMLElement {
    return this._shell.node;
  }

  get batch(): string {
    return this._options.batch;
  }

  dispose(): void {
    this._following.dispose();
    this._shell.dispose();
  }

  private _build(): void {
    const { node, line, state, elapsed, cost, connection, problem } = this._shell;
    node.classList.add('jp-bgstream-batch');
    node.dataset.batch = this._options.batch;
    line.append(
      state,
      this._name,
      elapsed,
      this._left,
      this._speed,
      cost,
      connection,
      this._retry.node,
      this._resume.node,
      this._stop.node
    );
    setText(this._list, trans.__('Show jobs'));
    node.append(line, this._bar.node, element('div', 'below', this._numbers, this._list), this._stalled, problem);
  }

  private _update(batch: BatchInfo | null, trouble: ErrorInfo | Denial | null): void {
    const before = this._batch;
    this._batch = batch;
    this._trouble = trouble;
    if (batch !== null) {
      if (before !== null && hasEnded(before.status) !== hasEnded(batch.status)) {
        this._shell.refusal = null; // the request had its effect nevertheless, or another one had it
      }
      this._stop.isBusy &&= !hasEnded(batch.status);
      if (before?.paused != null && batch.paused == null) {
        this._shell.refusal = null;
        this._rate = new BatchRate(); // the pause must not count for the speed
      }
      const { counts, usage } = batch;
      this._rate.note({ at: Date.now() / 1000, ended: endedOf(counts), tokens: usage.output_tokens });
    }
    this._show();
    this._reportSeen();
  }

  /** The batch from the server, else from the file. */
  private get _snapshot(): BatchSnapshot | null {
    return this._batch ?? this._options.saved;
  }

  private get _title(): string {
    const title = this._snapshot?.title ?? '';
    return title === '' ? trans.__('Batch') : clipped(title);
  }

  private get _state(): BatchState {
    if (this._trouble?.code === 'not_found') {
      return 'missing';
    }
    const batch = this._snapshot;
    return batch === null || (this._batch === null && !hasEnded(batch.status)) ? 'connecting' : batchState(batch);
  }

  private _show(): void {
    const state = this._state;
    const batch = this._snapshot ?? { status: 'queued', title: '', total: 0, counts: NO_COUNTS };
    const isHere = this._batch !== null && state !== 'missing';
    const isOver = hasEnded(batch.status);
    const isRunning = isHere && !isOver;
    const isOnline = !isOffline(this._trouble);
    const label = this._stop.isBusy && isRunning ? trans.__('Stopping…') : batchStateLabel(state);
    this._shell.showState({ state, label, isOnline, isOver, denial: denialOf(this._trouble) });
    this.node.setAttribute('aria-label', trans.__('Batch of background answers: %1', this._title));
    setText(this._name, this._title);
    this._name.title = this._title; // the line may cut it
    this._shell.showCost(this._batch?.cost ?? null);
    setText(this._numbers, batch.total === 0 ? '' : progressLabel(batch, this._batch ?? NO_JOBS));
    this._bar.show(this._title, batch, this._batch ?? NO_JOBS);
    this._shell.arrange(() => this._showButtons(isHere, isRunning, batch.counts));
    const trouble = isOnline ? (this._trouble ?? this._shell.refusal) : this._shell.refusal;
    const paused = isRunning ? (this._batch?.paused ?? null) : null;
    const problem = trouble ?? (paused && { code: paused.code, message: pausedMessage(paused) });
    this._shell.showProblem(clipped(problem?.code ?? ''), problem === null ? '' : batchTroubleMessage(problem));
    this._shell.tick(isRunning && paused === null);
  }

  private _showButtons(isHere: boolean, isRunning: boolean, counts: EndCounts): void {
    const isPaused = isRunning && this._batch?.paused != null;
    const left = isPaused && this._batch !== null ? formatNumber(remaining(this._batch)) : '';
    const retry = isHere ? retryRowsLabel(counts, this._batch?.cost) : null;
    this._stop.show(trans.__('Stop'), isRunning);
    this._resume.show(trans.__('Resume'), isPaused);
    this._resume.node.title = trans.__('Submit the %1 rows that are left. Failed rows are not retried.', left);
    this._retry.show(retry ?? '', retry !== null);
    this._retry.node.title = isPaused ? trans.__('Retry them, and submit the %1 rows that are left.', left) : '';
    this._list.hidden = this._options.batches.show === undefined || !isHere;
  }

  private _tick(now: number): void {
    const batch = this._batch;
    const times = batch && { queued: batch.created_at, started: batch.started_at, ended: batch.ended_at };
    setText(this._shell.elapsed, times === null ? '' : elapsedLabel(times, now));
    // A batch whose updates the page does not receive has not stalled.
    const isRunning = this._state === 'queued' || this._state === 'running';
    const isKnown = batch !== null && isRunning && !isOffline(this._trouble);
    setText(this._speed, isKnown ? speedLabel(this._rate.tokens(now)) : '');
    setText(this._left, isKnown ? remainingTimeLabel(this._rate.left(remaining(batch), now)) : '');
    setText(this._stalled, isKnown ? stalledMessage(batch, this._rate.stalled(now)) : '');
    this._stalled.hidden = this._stalled.textContent === '';
  }

  /** Report once that the end, or the pause, was seen: drawn, on the screen, in a page that is visible. */
  private _reportSeen(): void {
    const end = this._batch?.ended_at ?? this._batch?.paused?.at ?? null;
    if (end !== null && end !== this._seen && this._shell.isVisible) {
      this._seen = end;
      this._options.batches.seen(this.batch);
    }
  }

  private readonly _shell = new ViewShell({
    show: () => this._show(),
    tick: now => this._tick(now),
    moved: () => this._reportSeen()
  });
  private readonly _stop = this._shell.request({
    name: 'stop',
    action: 'stop',
    send: () => this._options.batches.change(this.batch, 'cancel'),
    busy: () => trans.__('Stopping…'),
    refused: reason => ({ code: 'not_stopped', message: trans.__('Not stopped: %1', reason) }),
    once: true
  });
  private readonly _retry = this._shell.request({
    name: 'retry',
    action: 'retry-batch',
    send: () => this._options.batches.change(this.batch, 'retry'),
    busy: () => trans.__('Retrying…'),
    refused: reason => ({ code: 'not_retried', message: trans.__('Not retried: %1', reason) })
  });
  private readonly _resume = this._shell.request({
    name: 'retry',
    action: 'resume-batch',
    send: () => this._options.batches.change(this.batch, 'resume'),
    busy: () => trans.__('Resuming…'),
    refused: reason => ({ code: 'not_resumed', message: trans.__('Not resumed: %1', reason) })
  });
  private readonly _list = this._shell.button('list', 'show-jobs', () =>
    this._options.batches.show?.({ batch: this.batch, title: this._title })
  );
  private readonly _following: Disposable;
  private _rate = new BatchRate();
  private readonly _name = element('span', 'name');
  private readonly _left = element('span', 'left');
  private readonly _speed = element('span', 'speed');
  private readonly _bar = new ProgressBar();
  private readonly _numbers = element('span', 'numbers');
  private readonly _stalled = element('div', 'try');
  private _batch: BatchInfo | null = null;
  private _trouble: ErrorInfo | Denial | null = null;
  /** Time of the end or pause that was reported as seen. */
  private _seen: number | null = null;
}

function remaining({ total, counts }: BatchInfo): number {
  return Math.max(0, total - endedOf(counts));
}

/** Return whether the server cannot be asked now; it is asked again. */
function isOffline(trouble: ErrorInfo | Denial | null): boolean {
  return trouble?.code === 'offline' || trouble?.code === 'unreachable' || denialOf(trouble) !== null;
}

/** Return the trouble if the server denies this page. */
function denialOf(trouble: ErrorInfo | Denial | null): Denial | null {
  return trouble !== null && 'since' in trouble ? trouble : null;
}
