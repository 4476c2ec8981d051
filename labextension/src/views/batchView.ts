/** A batch on the screen: how far it is, how it goes, and what can be done. Plain DOM, as the view of a job. */

import {
  type BatchSnapshot,
  batchState,
  type BatchState,
  batchStateLabel,
  batchTroubleMessage,
  pausedMessage,
  progressLabel,
  progressValueText,
  remainingTimeLabel,
  retryRowsLabel,
  speedLabel,
  stalledMessage
} from './batchLabels';
import { element, keepKeys, setDenial, setText } from '../render/dom';
import { hasEnded } from '../wire/fold';
import type { GroupSource } from '../wire/batches';
import type { Denial, Disposable } from '../wire/live';
import { clipped, sentence } from '../render/boundedText';
import { endedOf, Pace } from './batchRate';
import { trans } from '../translation';
import { formatCost, formatNumber } from './format';
import { costSource, elapsedLabel } from './labels';
import type { BatchBundle, Counts, Fault, Group } from '../wire/wire';

export interface BatchOptions {
  /** The group's id. */
  batch: string;
  /** What the notebook's file says; null if there is none. */
  saved: Omit<BatchBundle, 'id'> | null;
  groups: GroupSource;
}

const NOBODY = { running: 0, waiting: 0, queued: 0 };
const NONE: Counts = { completed: 0, failed: 0, cancelled: 0, interrupted: 0 };

export class BatchView {
  readonly node = element('div', 'view');

  constructor(private readonly _options: BatchOptions) {
    this._build();
    this._show();
    this._observer = new IntersectionObserver(entries => {
      this._onScreen = entries.at(-1)?.isIntersecting ?? false;
      this._maybeSeen();
    });
    this._observer.observe(this.node);
    document.addEventListener('visibilitychange', this._maybeSeen);
    this._following = _options.groups.follow(_options.batch, (group, trouble) => this._update(group, trouble));
  }

  get batch(): string {
    return this._options.batch;
  }

  dispose(): void {
    this._following.dispose();
    this._observer.disconnect();
    document.removeEventListener('visibilitychange', this._maybeSeen);
    clearInterval(this._ticker);
    this.node.remove();
  }

  private _build(): void {
    this.node.classList.add('jp-bgstream-batch');
    this.node.dataset.batch = this._options.batch;
    this.node.setAttribute('role', 'group');
    this.node.addEventListener('keydown', keepKeys);
    this._state.setAttribute('role', 'status');
    this._bar.setAttribute('role', 'progressbar');
    this._bar.setAttribute('aria-valuemin', '0');
    for (const name of SEGMENTS) {
      const segment = element('div', 'segment');
      segment.dataset.of = name;
      this._segments.set(name, segment);
      this._bar.append(segment);
    }
    button(this._stop, 'stop', () => void this._cancel());
    button(this._retry, 'retry-batch', () => void this._askAgain());
    button(this._resume, 'resume-batch', () => void this._goOn());
    setText(this._resume, trans.__('Resume'));
    button(this._list, 'show-jobs', () => this._options.groups.show?.({ group: this.batch, title: this._title }));
    setText(this._list, trans.__('Show jobs'));
    this._line.append(
      this._state,
      this._name,
      this._elapsed,
      this._left,
      this._speed,
      this._cost,
      this._connection,
      this._retry,
      this._resume,
      this._stop
    );
    this._below.append(this._numbers, this._list);
    this.node.append(this._line, this._bar, this._below, this._stalled, this._problem);
  }

  private _update(group: Group | null, trouble: Fault | Denial | null): void {
    const before = this._group;
    this._group = group;
    this._trouble = trouble;
    if (group !== null) {
      if (before !== null && hasEnded(before.status) !== hasEnded(group.status)) {
        this._refusal = null; // it was followed all the same, here or elsewhere
      }
      this._stopping &&= !hasEnded(group.status);
      if (before?.paused != null && group.paused == null) {
        this._refusal = null;
        this._pace = new Pace(); // the pause tells nothing of how fast it goes
      }
      this._pace.note({
        at: Date.now() / 1000,
        ended: endedOf(group.counts),
        tokens: group.usage.output_tokens
      });
    }
    this._show();
    this._maybeSeen();
  }

  /** What is known: by the server, else by the file. */
  private get _snapshot(): BatchSnapshot | null {
    return this._group ?? this._options.saved;
  }

  private get _title(): string {
    const title = this._snapshot?.title ?? '';
    return title === '' ? trans.__('Batch') : clipped(title);
  }

  private get _shown(): BatchState {
    if (this._trouble?.code === 'not_found') {
      return 'missing';
    }
    const tally = this._snapshot;
    return tally === null || (this._group === null && !hasEnded(tally.status)) ? 'connecting' : batchState(tally);
  }

  private _show(): void {
    const state = this._shown;
    const tally = this._snapshot ?? { status: 'queued', title: '', total: 0, counts: NONE };
    const isHere = this._group !== null && state !== 'missing';
    const goesOn = isHere && !hasEnded(tally.status);
    this.node.dataset.state = state;
    this.node.dataset.online = String(!isOffline(this._trouble));
    this.node.setAttribute('aria-label', trans.__('Batch of background answers: %1', this._title));
    const denial = denialOf(this._trouble);
    setDenial(this.node, denial);
    const label = state === 'connecting' && denial !== null ? trans.__('Not connected') : batchStateLabel(state);
    setText(this._state, this._stopping && goesOn ? trans.__('Stopping…') : label);
    setText(this._name, this._title);
    this._name.title = this._title; // it may be cut
    setText(this._cost, formatCost(this._group?.cost ?? null));
    this._cost.title = costSource(this._group?.cost ?? null);
    const offline = denial?.message ?? (isOffline(this._trouble) && goesOn ? trans.__('Reconnecting…') : '');
    setText(this._connection, hasEnded(tally.status) ? '' : offline);
    setText(this._numbers, tally.total === 0 ? '' : progressLabel(tally, this._group ?? NOBODY));
    this._showBar(tally);
    this._showButtons(goesOn, isHere ? retryRowsLabel(tally.counts, this._group?.cost) : null);
    this._list.hidden = this._options.groups.show === undefined || !isHere;
    const trouble = isOffline(this._trouble) ? this._refusal : (this._trouble ?? this._refusal);
    const paused = isHere && goesOn ? (this._group?.paused ?? null) : null;
    this._showProblem(trouble ?? (paused && { code: paused.code, message: pausedMessage(paused) }));
    this._tick(goesOn && paused === null);
  }

  private _showBar(tally: BatchSnapshot): void {
    const { total, counts } = tally;
    const { running, waiting } = this._group ?? NOBODY;
    const widths: Record<Segment, number> = {
      completed: counts.completed,
      failed: counts.failed + counts.interrupted,
      cancelled: counts.cancelled,
      running,
      waiting
    };
    for (const [name, segment] of this._segments) {
      segment.hidden = widths[name] === 0;
      segment.style.width = `${total === 0 ? 0 : (100 * widths[name]) / total}%`;
    }
    this._bar.hidden = total === 0;
    this._bar.setAttribute('aria-label', this._title);
    this._bar.setAttribute('aria-valuemax', String(total));
    this._bar.setAttribute('aria-valuenow', String(endedOf(counts)));
    this._bar.setAttribute('aria-valuetext', progressValueText(tally));
  }

  private _showButtons(mayStop: boolean, retry: string | null): void {
    const focused = document.activeElement;
    const denied = denialOf(this._trouble) !== null;
    const paused = mayStop && this._group?.paused != null;
    this._stop.hidden = !mayStop;
    this._stop.setAttribute('aria-disabled', String(this._stopping || denied));
    setText(this._stop, this._stopping ? trans.__('Stopping…') : trans.__('Stop'));
    this._resume.hidden = !paused;
    this._resume.setAttribute('aria-disabled', String(this._resuming || denied));
    setText(this._resume, this._resuming ? trans.__('Resuming…') : trans.__('Resume'));
    const left = paused && this._group !== null ? formatNumber(remaining(this._group)) : '';
    this._resume.title = trans.__('Submit the %1 rows that are left. Failed rows are not retried.', left);
    this._retry.title = paused ? trans.__('Retry them, and submit the %1 rows that are left.', left) : '';
    this._retry.hidden = retry === null;
    this._retry.setAttribute('aria-disabled', String(this._asking || denied));
    setText(this._retry, this._asking ? trans.__('Retrying…') : (retry ?? ''));
    // Who has pressed one that is gone has the other, or the list.
    if ([this._stop, this._retry, this._resume].some(each => focused === each && each.hidden)) {
      [this._stop, this._retry, this._list].find(({ hidden }) => !hidden)?.focus({ preventScroll: true });
    }
  }

  private _showProblem(trouble: Fault | null): void {
    const code = clipped(trouble?.code ?? '');
    const message = trouble === null ? '' : batchTroubleMessage(trouble);
    if (this._problem.dataset.code !== code || this._told !== message) {
      this._told = message;
      this._problem.dataset.code = code;
      const [first = '', ...rest] = sentence(message);
      this._problem.replaceChildren(first, ' ', element('small', 'code', code), ...rest);
      this._problem.hidden = message === '';
    }
  }

  private _tick(goesOn: boolean): void {
    clearInterval(this._ticker);
    const tell = (): void => {
      const group = this._group;
      const now = denialOf(this._trouble)?.since ?? Date.now() / 1000;
      const times = group && { queued: group.created_at, started: group.started_at, ended: group.ended_at };
      setText(this._elapsed, times === null ? '' : elapsedLabel(times, now));
      const online = !isOffline(this._trouble);
      setText(this._speed, goesOn && online ? speedLabel(this._pace.tokens(now)) : '');
      // What we do not hear of has not stalled.
      setText(this._left, goesOn && online && group ? remainingTimeLabel(this._pace.left(remaining(group), now)) : '');
      setText(this._stalled, goesOn && online && group ? stalledMessage(group, this._pace.stalled(now)) : '');
      this._stalled.hidden = this._stalled.textContent === '';
    };
    tell();
    if (goesOn && denialOf(this._trouble) === null) {
      this._ticker = setInterval(tell, 1000);
    }
  }

  private async _cancel(): Promise<void> {
    if (this._stopping || denialOf(this._trouble) !== null) {
      return;
    }
    this._stopping = true;
    this._refusal = null;
    this._show();
    try {
      await this._options.groups.cancel(this.batch);
    } catch (error) {
      this._stopping = false;
      this._refusal = { code: 'not_stopped', message: trans.__('Not stopped: %1', (error as Error).message) };
    }
    this._show();
  }

  private async _askAgain(): Promise<void> {
    if (this._asking || denialOf(this._trouble) !== null) {
      return;
    }
    this._asking = true;
    this._refusal = null;
    this._show();
    try {
      await this._options.groups.retry(this.batch);
    } catch (error) {
      this._refusal = { code: 'not_retried', message: trans.__('Not retried: %1', (error as Error).message) };
    }
    this._asking = false;
    this._show();
  }

  private async _goOn(): Promise<void> {
    if (this._resuming || denialOf(this._trouble) !== null) {
      return;
    }
    this._resuming = true;
    this._refusal = null;
    this._show();
    try {
      await this._options.groups.resume(this.batch);
    } catch (error) {
      this._refusal = { code: 'not_resumed', message: trans.__('Not resumed: %1', (error as Error).message) };
    }
    this._resuming = false;
    this._show();
  }

  /** Say that the end, or the pause, was seen, once: drawn, on the screen, in a page that is visible. */
  private readonly _maybeSeen = (): void => {
    const end = this._group?.ended_at ?? this._group?.paused?.at ?? null;
    if (end !== null && end !== this._seen && this._onScreen && document.visibilityState === 'visible') {
      this._seen = end;
      this._options.groups.seen(this.batch);
    }
  };

  private readonly _following: Disposable;
  private readonly _observer: IntersectionObserver;
  private _pace = new Pace();
  private readonly _line = element('div', 'line');
  private readonly _state = element('span', 'state');
  private readonly _name = element('span', 'name');
  private readonly _elapsed = element('span', 'elapsed');
  private readonly _left = element('span', 'left');
  private readonly _speed = element('span', 'speed');
  private readonly _cost = element('span', 'cost');
  private readonly _connection = element('span', 'connection');
  private readonly _stop = element('button', 'stop');
  private readonly _retry = element('button', 'retry');
  private readonly _resume = element('button', 'retry');
  private readonly _bar = element('div', 'bar');
  private readonly _segments = new Map<Segment, HTMLElement>();
  private readonly _below = element('div', 'below');
  private readonly _numbers = element('span', 'numbers');
  private readonly _list = element('button', 'list');
  private readonly _stalled = element('div', 'try');
  private readonly _problem = element('div', 'problem');
  /** The message of the problem that is shown. */
  private _told = '';
  private _group: Group | null = null;
  private _trouble: Fault | Denial | null = null;
  /** Why the last wish to stop, or to ask again, was not followed. */
  private _refusal: Fault | null = null;
  private _stopping = false;
  private _asking = false;
  private _resuming = false;
  private _onScreen = false;
  /** When the end or the pause was that was seen. */
  private _seen: number | null = null;
  private _ticker: ReturnType<typeof setInterval> | undefined;
}

/** The parts of the bar, in order; what is queued is what is left of it. */
const SEGMENTS = ['completed', 'failed', 'cancelled', 'running', 'waiting'] as const;
type Segment = (typeof SEGMENTS)[number];

function button(node: HTMLButtonElement, action: string, onClick: () => void): void {
  node.type = 'button';
  node.dataset.action = action;
  node.addEventListener('click', onClick);
}

function remaining({ total, counts }: Group): number {
  return Math.max(0, total - endedOf(counts));
}

/** The server cannot be asked just now, and is asked again. */
function isOffline(trouble: Fault | Denial | null): boolean {
  return trouble?.code === 'offline' || trouble?.code === 'unreachable' || denialOf(trouble) !== null;
}

/** The trouble, if it is that the server does not let this page in. */
function denialOf(trouble: Fault | Denial | null): Denial | null {
  return trouble !== null && 'since' in trouble ? trouble : null;
}
