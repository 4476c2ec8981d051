/** The frame that the views of a job and of a batch share. Plain DOM, so that the widget can use it as well. */

import { sentence } from '../render/boundedText';
import { button, element, keepKeys, setDenial, setText } from '../render/dom';
import { trans } from '../translation';
import type { Denial } from '../wire/jobFeed';
import type { Cost, ErrorInfo } from '../wire/types';
import { formatCost } from './format';
import { costSource } from './jobLabels';

/** Callbacks of a view for its shell. */
export interface ShellOptions {
  /** Draw the view again after a request of a button has begun or ended. */
  show: () => void;
  /** Draw what changes with time. `now` is in Unix seconds and stands still while the server denies the page. */
  tick: (now: number) => void;
  /** Called when the view or its page becomes visible or hidden. */
  moved: () => void;
}

/** A button that sends a request. */
export interface RequestOptions {
  /** Name of its CSS class. */
  name: string;
  action: string;
  send: () => Promise<unknown>;
  /** Its label while the request is under way. */
  busy: () => string;
  /** The problem to show if the request fails. */
  refused: (reason: string) => ErrorInfo;
  /** Whether it stays busy after a request that succeeded, until `isBusy` is reset. */
  once?: boolean;
}

/** The state line, the problem, the buttons, the clock, and whether a reader can see the view. */
export class ViewShell {
  /** Whether the view is in the part of the page that is on the screen. */
  isInSight = false;
  readonly node = element('div', 'view');
  readonly line = element('div', 'line');
  readonly elapsed = element('span', 'elapsed');
  readonly cost = element('span', 'cost');
  readonly connection = element('span', 'connection');
  readonly state = element('span', 'state');
  readonly problem = element('div', 'problem');
  /** Why the last request of a button failed. */
  refusal: ErrorInfo | null = null;

  constructor(private readonly _options: ShellOptions) {
    this.node.setAttribute('role', 'group');
    this.node.addEventListener('keydown', keepKeys);
    this.state.setAttribute('role', 'status');
    this.state.setAttribute('aria-live', 'polite');
    this._observer = new IntersectionObserver(entries => {
      this.isInSight = entries.at(-1)?.isIntersecting ?? false;
      _options.moved();
    });
    this._observer.observe(this.node);
    document.addEventListener('visibilitychange', _options.moved);
  }

  dispose(): void {
    this._observer.disconnect();
    document.removeEventListener('visibilitychange', this._options.moved);
    clearInterval(this._ticker);
    this.node.remove();
  }

  /** Whether a reader can see the view. */
  get isVisible(): boolean {
    return this.isInSight && document.visibilityState === 'visible';
  }

  /** Whether the server denies the page. */
  get isDenied(): boolean {
    return this._denial !== null;
  }

  /** Take the focus: the first button that is shown, or the view while none is. */
  focus(): void {
    const first = this._buttons.find(({ hidden }) => !hidden);
    if (first === undefined) {
      // Only while it has the focus: a click on the text belongs to the notebook.
      this.node.tabIndex = -1;
      this.node.addEventListener('blur', () => this.node.removeAttribute('tabindex'), { once: true });
    }
    (first ?? this.node).focus({ preventScroll: true });
  }

  /** Make a button. The first button takes the focus first. */
  button(name: string, action: string, press: () => void): HTMLButtonElement {
    const made = button(name, action, press);
    this._buttons.push(made);
    return made;
  }

  /** Make a button that sends a request. */
  request(options: RequestOptions): RequestButton {
    return new RequestButton(this, options, this._options.show);
  }

  /** Show or hide buttons. The focus of a hidden button moves to another one, or to the view. */
  arrange(change: () => void): void {
    const focused = this._buttons.find(each => each === document.activeElement);
    change();
    if (focused?.hidden === true) {
      this.focus();
    }
  }

  showState(shown: { state: string; label: string; isOnline: boolean; isOver: boolean; denial: Denial | null }): void {
    const { state, label, isOnline, isOver, denial } = shown;
    this._denial = denial;
    this.node.dataset.state = state;
    this.node.dataset.online = String(isOnline);
    setDenial(this.node, denial);
    setText(this.state, state === 'connecting' && denial !== null ? trans.__('Not connected') : label);
    // Before the first frame the state shows that the page connects; with the whole log the line is not needed.
    const offline = isOnline || state === 'connecting' ? '' : trans.__('Reconnecting…');
    setText(this.connection, isOver ? '' : (denial?.message ?? offline));
  }

  showCost(cost: Cost | null): void {
    setText(this.cost, formatCost(cost));
    this.cost.title = costSource(cost);
  }

  /** Show a sentence and its code; an empty sentence hides them. `title` is for a tooltip. */
  showProblem(code: string, message: string, title = ''): void {
    if (this.problem.dataset.code !== code || this._message !== message) {
      this._message = message;
      this.problem.dataset.code = code;
      this.problem.title = title;
      const [first = '', ...rest] = sentence(message);
      this.problem.replaceChildren(first, ' ', element('small', 'code', code), ...rest);
      this.problem.hidden = message === '';
    }
  }

  /** Draw what changes with time, now and, while the view's subject runs, every second. */
  tick(isRunning: boolean): void {
    clearInterval(this._ticker);
    const tick = (): void => this._options.tick(this._denial?.since ?? Date.now() / 1000);
    tick();
    if (isRunning && !this.isDenied) {
      this._ticker = setInterval(tick, 1000);
    }
  }

  private readonly _observer: IntersectionObserver;
  private readonly _buttons: HTMLButtonElement[] = [];
  private _denial: Denial | null = null;
  /** The sentence of the problem that is shown. */
  private _message = '';
  private _ticker: ReturnType<typeof setInterval> | undefined;
}

/** A button that sends one request at a time and shows that it is under way. */
export class RequestButton {
  readonly node: HTMLButtonElement;
  isBusy = false;

  constructor(
    private readonly _shell: ViewShell,
    private readonly _options: RequestOptions,
    private readonly _show: () => void
  ) {
    this.node = _shell.button(_options.name, _options.action, () => void this._press());
  }

  show(label: string, isShown: boolean): void {
    this.node.hidden = !isShown;
    // Not `disabled`, which would take the focus away.
    this.node.setAttribute('aria-disabled', String(this.isBusy || this._shell.isDenied));
    setText(this.node, this.isBusy ? this._options.busy() : label);
  }

  private async _press(): Promise<void> {
    if (this.isBusy || this._shell.isDenied) {
      return;
    }
    this.isBusy = true;
    this._shell.refusal = null;
    this._show();
    try {
      await this._options.send();
      this.isBusy = this._options.once === true;
    } catch (error) {
      this.isBusy = false;
      this._shell.refusal = this._options.refused((error as Error).message);
    }
    this._show();
  }
}
