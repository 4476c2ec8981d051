/**
 * A job on the screen: a state line, the text, and what belongs to it. Plain DOM, so that the widget can have it too.
 *
 * What the log says replaces the saved text, which is the first paint only. What the socket or the server does not
 * give is never shown as the job's failure.
 */

import { element, keepKeys, setDenial, setText } from '../render/dom';
import { Folded } from '../render/disclosure';
import { type Answer, hasEnded, type Try } from '../wire/fold';
import { Growing } from '../render/plainText';
import { type Denial, type Disposable, type Followed, type Source, wasDeleted } from '../wire/live';
import { clipped, foldedText, LongList, sentence } from '../render/boundedText';
import { PictureList } from './imageList';
import { pretty } from '../render/prettyJson';
import type { Chains } from '../wire/retryChains';
import { type Markdown, TextPane } from '../render/textPane';
import { endReason, hasText } from '../outputs/endReason';
import { trans } from '../translation';
import { formatCost, formatNumber, shortened } from './format';
import {
  attemptLabel,
  costSource,
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
} from './labels';
import { errorMessage } from './messages';
import type { Citation, Fault, Partial, Status, ToolCall } from '../wire/wire';

export interface ViewOptions {
  job: string;
  model: string;
  /** What the notebook's file says; null if there is none. */
  saved: { text: string; status: Status } | null;
  /** What this job asks again; shown between the state and the answer. */
  before: HTMLElement;
  source: Source;
  retries: Pick<Chains, 'retry'>;
  markdown: Markdown;
}

export class JobView {
  readonly node = element('div', 'view');

  constructor(options: ViewOptions) {
    this._options = options;
    this._pane = new TextPane(options.markdown, () => this._drawn());
    this._pictures = new PictureList(options);
    this._build();
    if (options.saved !== null) {
      this._pane.set(this._pictures.savedText, true);
    }
    this._show();
    this._observer = new IntersectionObserver(entries => {
      this._onScreen = entries.at(-1)?.isIntersecting ?? false;
      this._pictures.see(this._onScreen);
      this._maybeSeen();
    });
    this._observer.observe(this.node);
    document.addEventListener('visibilitychange', this._maybeSeen);
    this._following = options.source.follow(options.job, state => this._update(state));
  }

  get job(): string {
    return this._options.job;
  }

  /** Take the focus: its button, or all of it while it has none. */
  focus(): void {
    const button = [this._stop, this._retry].find(({ hidden }) => !hidden);
    if (button === undefined) {
      // Only while it has it: a click on the text is the notebook's.
      this.node.tabIndex = -1;
      this.node.addEventListener('blur', () => this.node.removeAttribute('tabindex'), { once: true });
    }
    (button ?? this.node).focus({ preventScroll: true });
  }

  dispose(): void {
    this._following.dispose();
    this._observer.disconnect();
    document.removeEventListener('visibilitychange', this._maybeSeen);
    clearInterval(this._ticker);
    this._earlier.forEach(folded => folded.dispose());
    this._pane.dispose();
    this._pictures.dispose();
    this.node.remove();
  }

  private _build(): void {
    const { job, model } = this._options;
    this.node.dataset.job = job;
    this.node.setAttribute('role', 'group');
    const name = clipped(model);
    this.node.setAttribute(
      'aria-label',
      name === '' ? trans.__('Background answer') : trans.__('Background answer of %1', name)
    );
    this._state.setAttribute('role', 'status');
    this._state.setAttribute('aria-live', 'polite');
    this._model.textContent = name;
    this.node.addEventListener('keydown', keepKeys);
    this._stop.type = 'button';
    this._stop.dataset.action = 'stop';
    this._stop.addEventListener('click', () => void this._cancel());
    this._retry.type = 'button';
    this._retry.dataset.action = 'retry';
    this._retry.addEventListener('click', () => void this._askAgain());
    this._reasoning.append(element('summary', 'summary', trans.__('Reasoning')), this._reasoned.node);
    this._cited.append(this._citedCount, this._sources.node, this._sources.more);
    this._line.append(
      this._state,
      this._model,
      this._elapsed,
      this._tokens,
      this._cost,
      this._connection,
      this._stop,
      this._retry
    );
    this.node.append(
      this._line,
      this._problem,
      this._options.before,
      this._attempt,
      this._attempts,
      this._reasoning,
      this._pane.node,
      this._pictures.node,
      this._ending,
      this._tools.node,
      this._tools.more,
      this._cited
    );
  }

  private _update(state: Followed): void {
    this._followed = state;
    if (hasEnded(state.answer.status) && this._refusal?.code === 'not_stopped') {
      this._refusal = null; // it was stopped all the same, or had ended
    }
    // A log of which nothing has come yet has nothing to replace the saved text with.
    if (state.answer.status !== 'new') {
      this._pane.set(state.answer.text, hasEnded(state.answer.status));
    }
    this._show();
    this._maybeSeen();
  }

  private get _answer(): Answer | null {
    const answer = this._followed?.answer;
    return answer === undefined || answer.status === 'new' ? null : answer;
  }

  /** A page's live side may be older than this code, which then comes with a widget. */
  private get _denial(): Denial | null {
    const followed: { denial?: Denial | null } | null = this._followed;
    return followed?.denial ?? null;
  }

  private get _shown(): DisplayState {
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
    const state = this._shown;
    const answer = this._answer;
    const ended = hasEnded(answer?.status ?? this._options.saved?.status ?? 'new');
    const online = this._followed?.online ?? true;
    const running = !ended && state !== 'missing';
    const denial = this._denial;
    this.node.dataset.state = state;
    this.node.dataset.online = String(online);
    setDenial(this.node, denial);
    const known = imagesLabel(answer) ?? stateLabel(state, answer?.finish_reason ?? null);
    const label = state === 'connecting' && denial !== null ? trans.__('Not connected') : known;
    setText(this._state, this._stopping && running ? trans.__('Stopping…') : label);
    setText(this._tokens, tokenLabel(answer?.usage ?? null));
    this._tokens.title = usageLabel(answer?.usage ?? null);
    setText(this._cost, formatCost(answer?.cost ?? null));
    this._cost.title = costSource(answer?.cost ?? null);
    const ending = answer?.status === 'completed' ? clipped(endReason(answer, trans)) : '';
    setText(this._ending, ending);
    this._ending.hidden = ending === '';
    // Before the first frame the state says that we are connecting; once all is here, nobody needs the line.
    const offline = denial?.message ?? (online || state === 'connecting' ? '' : trans.__('Reconnecting…'));
    setText(this._connection, ended ? '' : offline);
    this._showButtons(running && state !== 'connecting', ended && state !== 'missing');
    this._pane.node.setAttribute('aria-busy', String(state === 'streaming'));
    this._showProblem(this._followed?.trouble ?? this._refusal, answer?.error ?? null, state === 'waiting');
    this._showParts(answer);
    this._showTry(this._followed?.tries.at(-1));
    this._tick(running && answer !== null);
  }

  private _showButtons(mayStop: boolean, mayRetry: boolean): void {
    // One takes the other's place, and has the focus if that had it.
    const focused = document.activeElement;
    const had = (focused === this._stop && !mayStop) || (focused === this._retry && !mayRetry);
    this._stop.hidden = !mayStop;
    const denied = this._denial !== null;
    this._stop.setAttribute('aria-disabled', String(this._stopping || denied));
    setText(this._stop, this._stopping ? trans.__('Stopping…') : trans.__('Stop'));
    this._retry.hidden = !mayRetry;
    this._retry.setAttribute('aria-disabled', String(this._asking || denied));
    setText(this._retry, this._asking ? trans.__('Retrying…') : trans.__('Retry'));
    if (had) {
      this.focus();
    }
  }

  private _showProblem(trouble: Fault | null, error: Fault | null, waiting: boolean): void {
    const whole = trouble === null ? (error === null ? '' : errorMessage(error)) : this._troubleMessage(trouble);
    // Of a failure one wants to know all; what may pass by itself is said in short.
    const message = waiting ? shortened(whole) : whole;
    const code = clipped(trouble === null ? (error?.code ?? '') : trouble.code);
    if (this._problem.dataset.code !== code || this._told !== message) {
      this._told = message;
      this._problem.dataset.code = code;
      this._problem.title = message === whole ? '' : clipped(whole, 2000);
      const [first = '', ...rest] = sentence(message);
      this._problem.replaceChildren(first, ' ', element('small', 'code', code), ...rest);
      this._problem.hidden = message === '';
    }
  }

  private _troubleMessage(trouble: Fault): string {
    const deleted = this._followed !== null && wasDeleted(this._followed);
    return deleted ? deletedMessage(this._options.saved !== null) : troubleMessage(trouble);
  }

  private _showParts(answer: Answer | null): void {
    const reasoning = answer?.reasoning ?? '';
    this._reasoning.hidden = reasoning === '';
    if (answer?.status === 'completed' && !hasText(answer.text) && !this._opened) {
      this._opened = this._reasoning.open = true; // once: there is nothing else to read
    }
    this._reasoned.show(reasoning);
    // Each of these lists is a new one when it has changed.
    this._pictures.show(answer, this._followed?.online ?? true);
    this._showSources(answer?.sources ?? NONE);
    this._tools.show(answer?.tool_calls ?? NONE);
    const earlier = answer?.earlier ?? NONE;
    if (this._aside !== earlier) {
      this._aside = earlier;
      // Those that are there stay, open or not.
      for (const each of earlier.slice(this._earlier.length)) {
        const folded = this._attemptItem(each);
        this._earlier.push(folded);
        this._attempts.append(folded.node);
      }
      this._earlier.splice(earlier.length).forEach(folded => folded.dispose());
    }
  }

  private _showSources(sources: readonly Citation[]): void {
    if (sources.length > 0 && this._cited.hidden) {
      this._cited.open = sources.length <= SOURCES_IN_SIGHT;
    }
    this._sources.show(sources);
    this._cited.hidden = sources.length === 0;
    const count = formatNumber(sources.length);
    setText(this._citedCount, trans._n('%2 citation', '%2 citations', sources.length, count));
  }

  private _attemptItem({ attempt, text, reasoning }: Partial): Folded {
    return new Folded('attempt', this._options.markdown, trans.__('Text of attempt %1', attempt), show => {
      show(text || reasoning, true);
      return { dispose: () => undefined };
    });
  }

  private _showTry(last: Try | undefined): void {
    setText(this._attempt, last === undefined ? '' : attemptLabel(last));
    this._attempt.hidden = last === undefined;
  }

  private _tick(running: boolean): void {
    clearInterval(this._ticker);
    const tell = (): void => {
      const { times, answer } = this._followed ?? {};
      const denial = this._denial;
      const now = denial?.since ?? Date.now() / 1000;
      if (answer?.status === 'waiting') {
        setText(this._elapsed, denial === null ? waitLabel(answer.not_before, answer.error, now) : '');
      } else {
        setText(this._elapsed, times === undefined ? '' : elapsedLabel(times, now));
      }
    };
    tell();
    if (running && this._denial === null) {
      this._ticker = setInterval(tell, 1000);
    }
  }

  private async _cancel(): Promise<void> {
    if (this._stopping || this._denial !== null) {
      return;
    }
    this._stopping = true;
    this._refusal = null;
    this._show();
    try {
      await this._options.source.cancel(this._options.job);
    } catch (error) {
      this._stopping = false;
      this._refusal = { code: 'not_stopped', message: trans.__('Not stopped: %1', (error as Error).message) };
      this._show();
    }
  }

  private async _askAgain(): Promise<void> {
    if (this._asking || this._denial !== null) {
      return;
    }
    this._asking = true;
    this._refusal = null;
    this._show();
    try {
      const { closed, cursor } = this._followed ?? {};
      await this._options.retries.retry(this._options.job, closed === true ? (cursor ?? null) : null);
    } catch (error) {
      this._refusal = { code: 'not_retried', message: trans.__('Not retried: %1', (error as Error).message) };
    }
    this._asking = false;
    this._show();
  }

  private _drawn(): void {
    this.node.dataset.drawn = String(this._pane.isComplete);
    this._maybeSeen();
  }

  /** Say that the end was seen, once: drawn, on the screen, in a page that is visible. */
  private readonly _maybeSeen = (): void => {
    const { closed, cursor } = this._followed ?? {};
    if (
      closed === true &&
      cursor != null &&
      cursor !== this._seen &&
      this._onScreen &&
      this._pane.isComplete &&
      document.visibilityState === 'visible'
    ) {
      this._seen = cursor;
      this._options.source.seen(this._options.job, cursor);
    }
  };

  private readonly _options: ViewOptions;
  private readonly _pane: TextPane;
  private readonly _pictures: PictureList;
  private readonly _observer: IntersectionObserver;
  private readonly _following: Disposable;
  private readonly _line = element('div', 'line');
  private readonly _state = element('span', 'state');
  private readonly _model = element('span', 'model');
  private readonly _elapsed = element('span', 'elapsed');
  private readonly _tokens = element('span', 'tokens');
  private readonly _cost = element('span', 'cost');
  private readonly _connection = element('span', 'connection');
  private readonly _stop = element('button', 'stop');
  private readonly _problem = element('div', 'problem');
  private readonly _retry = element('button', 'retry');
  private readonly _attempt = element('div', 'try');
  private readonly _attempts = element('div', 'attempts');
  private readonly _reasoning = element('details', 'reasoning');
  private _opened = false;
  private readonly _reasoned = new Growing(element('div', 'plain'));
  private readonly _tools = new LongList('tools', 'div', toolItem);
  private readonly _cited = element('details', 'cited');
  private readonly _citedCount = element('summary', 'summary');
  private readonly _sources = new LongList('sources', 'ol', sourceItem);
  private readonly _ending = element('div', 'ending');
  private _followed: Followed | null = null;
  private _onScreen = false;
  private _seen = '';
  private _stopping = false;
  private _asking = false;
  /** The message of the problem that is shown. */
  private _told = '';
  /** What the attempts before this one had said, and what shows it. */
  private _aside: readonly Partial[] = NONE;
  private readonly _earlier: Folded[] = [];
  /** Why the last wish to stop, or to ask again, was not followed. */
  private _refusal: Fault | null = null;
  private _ticker: ReturnType<typeof setInterval> | undefined;
}

/** More than so many are folded away. */
const SOURCES_IN_SIGHT = 8;

/** A server leaves out the source of a longer one. */
const LONGEST_ADDRESS = 8192;

const NONE: readonly never[] = [];
function sourceItem({ url, title }: Citation): HTMLElement {
  const item = element('li', 'source');
  const host = hostOf(url);
  if (host === null) {
    item.textContent = clipped(title || url); // whatever a model may write there, it is nothing to click on
    return item;
  }
  const link = element('a', 'link', clipped(title || url));
  link.href = url;
  link.title = clipped(url, 2000);
  link.target = '_blank';
  link.rel = 'noopener noreferrer nofollow';
  item.append(link);
  if (title !== '') {
    item.append(' ', element('span', 'host', clipped(host))); // a title may say anything of where it leads
  }
  return item;
}

/** The host of a web page's address; null for any other. */
function hostOf(url: string): string | null {
  if (url.length > LONGEST_ADDRESS || !/^https?:\/\//i.test(url)) {
    return null;
  }
  try {
    return new URL(url).host;
  } catch {
    return null;
  }
}

function toolItem({ name, arguments: text }: ToolCall): HTMLElement {
  const item = foldedText('tool', trans.__('Asks for the tool %1', name), text, pretty);
  item.lastElementChild?.classList.add('jp-bgstream-arguments');
  return item;
}
