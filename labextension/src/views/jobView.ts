/**
 * The view of a job: a state line, the text and its other parts. Plain DOM, so that the widget can use it as well.
 *
 * The saved text is shown until the log replaces it. Problems of the socket or the server are never shown as a failure
 * of the job.
 */

import { endReason, hasText } from '../outputs/endReason';
import { clipped } from '../render/boundedText';
import { element, setText } from '../render/dom';
import { type Markdown, TextPane } from '../render/textPane';
import { trans } from '../translation';
import { type Denial, type Disposable, type Followed, type JobFeed, wasDeleted } from '../wire/jobFeed';
import { type Answer, hasEnded } from '../wire/fold';
import type { Chains } from '../wire/retryChains';
import type { ErrorInfo, Status } from '../wire/types';
import { shortened } from './format';
import { ImageList } from './imageList';
import { CitationList, EarlierAttempts, Reasoning, toolCallList } from './jobParts';
import {
  attemptLabel,
  deletedMessage,
  type DisplayState,
  displayState,
  elapsedLabel,
  imagesLabel,
  stateLabel,
  tokenLabel,
  troubleMessage,
  usageLabel,
  waitLabel
} from './jobLabels';
import { errorMessage } from './errorMessages';
import { ViewShell } from './viewShell';

export interface ViewOptions {
  job: string;
  model: string;
  /** The answer in the notebook's file, or null. */
  saved: { text: string; status: Status } | null;
  /** The jobs that this job retries; shown between the state and the answer. */
  before: HTMLElement;
  source: JobFeed;
  retries: Pick<Chains, 'retry'>;
  markdown: Markdown;
}

export class JobView {
  constructor(private readonly _options: ViewOptions) {
    this._pane = new TextPane(_options.markdown, () => this._drawn());
    this._images = new ImageList(_options);
    this._attempts = new EarlierAttempts(_options.markdown);
    this._build();
    if (_options.saved !== null) {
      this._pane.set(this._images.savedText, true);
    }
    this._show();
    this._following = _options.source.follow(_options.job, state => this._update(state));
  }

  get node(): HTMLElement {
    return this._shell.node;
  }

  get job(): string {
    return this._options.job;
  }

  focus(): void {
    this._shell.focus();
  }

  dispose(): void {
    this._following.dispose();
    this._attempts.dispose();
    this._pane.dispose();
    this._images.dispose();
    this._shell.dispose();
  }

  private _build(): void {
    const { job, model } = this._options;
    const { node, line, state, elapsed, cost, connection, problem } = this._shell;
    node.dataset.job = job;
    const name = clipped(model);
    node.setAttribute(
      'aria-label',
      name === '' ? trans.__('Background answer') : trans.__('Background answer of %1', name)
    );
    line.append(
      state,
      element('span', 'model', name),
      elapsed,
      this._tokens,
      cost,
      connection,
      this._stop.node,
      this._retry.node
    );
    node.append(
      line,
      problem,
      this._options.before,
      this._attempt,
      this._attempts.node,
      this._reasoning.node,
      this._pane.node,
      this._images.node,
      this._ending,
      this._tools.node,
      this._tools.more,
      this._citations.node
    );
  }

  private _update(state: Followed): void {
    this._followed = state;
    if (hasEnded(state.answer.status) && this._shell.refusal?.code === 'not_stopped') {
      this._shell.refusal = null; // it was cancelled nevertheless, or had ended
    }
    // The first frame may come before the first event: the saved text stays until there is an event.
    if (state.answer.status !== 'new') {
      this._pane.set(state.answer.text, hasEnded(state.answer.status));
    }
    this._show();
    this._reportSeen();
  }

  private get _answer(): Answer | null {
    const answer = this._followed?.answer;
    return answer === undefined || answer.status === 'new' ? null : answer;
  }

  /** Why the server denies this page. The page's live connection may be older than this code of a widget. */
  private get _denial(): Denial | null {
    const followed: { denial?: Denial | null } | null = this._followed;
    return followed?.denial ?? null;
  }

  private get _state(): DisplayState {
    if (this._followed?.trouble?.code === 'not_found') {
      return 'missing';
    }
    const answer = this._answer;
    if (answer !== null && answer.status !== 'new') {
      return displayState(answer.status, answer.text);
    }
    const saved = this._options.saved?.status;
    return saved !== undefined && hasEnded(saved) ? saved : 'connecting';
  }

  private _show(): void {
    const state = this._state;
    const answer = this._answer;
    const isOver = hasEnded(answer?.status ?? this._options.saved?.status ?? 'new');
    const isOnline = this._followed?.online ?? true;
    const isRunning = !isOver && state !== 'missing';
    const label =
      this._stop.isBusy && isRunning
        ? trans.__('Stopping…')
        : (imagesLabel(answer) ?? stateLabel(state, answer?.finish_reason ?? null));
    this._shell.showState({ state, label, isOnline, isOver, denial: this._denial });
    setText(this._tokens, tokenLabel(answer?.usage ?? null));
    this._tokens.title = usageLabel(answer?.usage ?? null);
    this._shell.showCost(answer?.cost ?? null);
    const ending = answer?.status === 'completed' ? clipped(endReason(answer, trans)) : '';
    setText(this._ending, ending);
    this._ending.hidden = ending === '';
    this._shell.arrange(() => {
      this._stop.show(trans.__('Stop'), isRunning && state !== 'connecting');
      this._retry.show(trans.__('Retry'), isOver && state !== 'missing');
    });
    this._pane.node.setAttribute('aria-busy', String(state === 'streaming'));
    this._showProblem(this._followed?.trouble ?? this._shell.refusal, answer?.error ?? null, state === 'waiting');
    this._showParts(answer, isOnline);
    const attempt = this._followed?.attempts.at(-1);
    setText(this._attempt, attempt === undefined ? '' : attemptLabel(attempt));
    this._attempt.hidden = attempt === undefined;
    this._shell.tick(isRunning && answer !== null);
  }

  private _showProblem(trouble: ErrorInfo | null, error: ErrorInfo | null, isWaiting: boolean): void {
    const whole = trouble === null ? (error === null ? '' : errorMessage(error)) : this._troubleMessage(trouble);
    // A failure is shown completely; a transient error is shortened.
    const message = isWaiting ? shortened(whole) : whole;
    const code = clipped(trouble === null ? (error?.code ?? '') : trouble.code);
    this._shell.showProblem(code, message, message === whole ? '' : clipped(whole, 2000));
  }

  private _troubleMessage(trouble: ErrorInfo): string {
    const deleted = this._followed !== null && wasDeleted(this._followed);
    return deleted ? deletedMessage(this._options.saved !== null) : troubleMessage(trouble);
  }

  private _showParts(answer: Answer | null, isOnline: boolean): void {
    this._reasoning.show(answer?.reasoning ?? '', answer?.status === 'completed' && !hasText(answer.text));
    // A changed list is a new object.
    this._images.show(answer, isOnline);
    this._citations.show(answer?.sources ?? NONE);
    this._tools.show(answer?.tool_calls ?? NONE);
    this._attempts.show(answer?.earlier ?? NONE);
  }

  private _tick(now: number): void {
    const { times, answer } = this._followed ?? {};
    if (answer?.status === 'waiting') {
      const wait = this._denial === null ? waitLabel(answer.not_before, answer.error, now) : '';
      setText(this._shell.elapsed, wait);
    } else {
      setText(this._shell.elapsed, times === undefined ? '' : elapsedLabel(times, now));
    }
  }

  private _drawn(): void {
    this.node.dataset.drawn = String(this._pane.isComplete);
    this._reportSeen();
  }

  private _moved(): void {
    this._images.see(this._shell.isInSight);
    this._reportSeen();
  }

  /** Report once that the end was seen: drawn, on the screen, in a visible page. */
  private _reportSeen(): void {
    const { closed, cursor } = this._followed ?? {};
    if (closed === true && cursor != null && cursor !== this._seen && this._pane.isComplete && this._shell.isVisible) {
      this._seen = cursor;
      this._options.source.seen(this._options.job, cursor);
    }
  }

  private readonly _shell = new ViewShell({
    show: () => this._show(),
    tick: now => this._tick(now),
    moved: () => this._moved()
  });
  private readonly _stop = this._shell.request({
    name: 'stop',
    action: 'stop',
    send: () => this._options.source.cancel(this._options.job),
    busy: () => trans.__('Stopping…'),
    refused: reason => ({ code: 'not_stopped', message: trans.__('Not stopped: %1', reason) }),
    once: true
  });
  private readonly _retry = this._shell.request({
    name: 'retry',
    action: 'retry',
    send: () => {
      const { closed, cursor } = this._followed ?? {};
      return this._options.retries.retry(this._options.job, closed === true ? (cursor ?? null) : null);
    },
    busy: () => trans.__('Retrying…'),
    refused: reason => ({ code: 'not_retried', message: trans.__('Not retried: %1', reason) })
  });
  private readonly _pane: TextPane;
  private readonly _images: ImageList;
  private readonly _attempts: EarlierAttempts;
  private readonly _following: Disposable;
  private readonly _tokens = element('span', 'tokens');
  private readonly _attempt = element('div', 'try');
  private readonly _reasoning = new Reasoning();
  private readonly _tools = toolCallList();
  private readonly _citations = new CitationList();
  private readonly _ending = element('div', 'ending');
  private _followed: Followed | null = null;
  /** The cursor of the end that was reported as seen. */
  private _seen = '';
}

const NONE: readonly never[] = [];
