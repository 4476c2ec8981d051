/** The view of a thread: the conversation, live, and the input of the next question. Plain DOM. */

import { arrange, button, element, setText, textButton } from '../render/dom';
import { trans } from '../translation';
import type { ViewContext } from '../views/answerView';
import type { Conversation } from './conversation';
import type { ThreadsModel } from './threadsModel';
import { PromptInput } from './promptInput';
import type { Turn } from './turns';
import { TurnView } from './turnView';

/** Turns drawn at first, and then at each click. */
const AT_ONCE = 30;
/** A scroll position this near to the end counts as the end. */
const NEAR = 40; // px

export interface ThreadActions {
  /** Begin a thread with the messages up to and including a job; null: all of them. */
  fork(thread: string, after: string | null): void;
  rename(thread: string): void;
  remove(thread: string): void;
}

export interface ThreadViewOptions {
  conversation: Conversation;
  threads: ThreadsModel;
  context: ViewContext;
  actions: ThreadActions;
  /** Where there is a way back. */
  back?: () => void;
}

export class ThreadView {
  readonly node = element('div', 'thread');

  constructor(private readonly _options: ThreadViewOptions) {
    const { conversation, threads } = _options;
    this._input = new PromptInput(conversation, threads, () => this._toEnd());
    this._build();
    conversation.changed.connect(this._show, this);
    threads.changed.connect(this._show, this);
    this._show();
    this._resized = new ResizeObserver(() => this._keepEnd());
    this._resized.observe(this._turns);
    this._resized.observe(this._scroller);
  }

  get conversation(): Conversation {
    return this._options.conversation;
  }

  /** Disposes of the conversation too, which is this view's own. */
  dispose(): void {
    const { conversation, threads } = this._options;
    this._resized.disconnect();
    conversation.changed.disconnect(this._show, this);
    threads.changed.disconnect(this._show, this);
    this._input.dispose();
    this._views.forEach(view => view.dispose());
    this._views.clear();
    conversation.dispose();
    this.node.remove();
  }

  focus(): void {
    this._input.focus();
  }

  private _build(): void {
    const { conversation, actions, back } = this._options;
    this.node.setAttribute('role', 'region');
    this._status.setAttribute('role', 'status');
    this._scroller.tabIndex = 0; // to be scrolled by keys
    this._scroller.setAttribute('role', 'region');
    this._scroller.setAttribute('aria-label', trans.__('Conversation'));
    this._scroller.addEventListener('scroll', () => this._scrolled());
    this._newest.title = trans.__('Scroll to the newest');
    this._newest.hidden = true;
    const header = element('header', 'threadhead');
    this._tools.push(
      textButton('fork', trans.__('Fork'), () => actions.fork(conversation.name, null)),
      textButton('rename', trans.__('Rename'), () => actions.rename(conversation.name)),
      textButton('delete', trans.__('Delete'), () => actions.remove(conversation.name))
    );
    if (back !== undefined) {
      header.append(textButton('back', trans.__('‹ All'), back));
    }
    header.append(this._name, this._origin, element('span', 'threadtools', ...this._tools));
    this._scroller.append(this._earlier, this._empty, this._turns);
    const body = element('div', 'threadbody', this._scroller, this._newest);
    this.node.append(header, this._status, body, this._input.node);
  }

  private _show(): void {
    const { conversation, threads } = this._options;
    const { name, thread, state, turns } = conversation;
    this.node.setAttribute('aria-label', trans.__('Thread %1', name));
    setText(this._name, name);
    this._name.title = name;
    const origin = thread?.forked_from ?? null;
    setText(this._origin, origin === null ? '' : trans.__('forked from %1', origin));
    for (const each of this._tools) {
      each.hidden = thread === null || threads.hindrance?.code === 'forbidden';
    }
    setText(this._status, this._statusWords());
    setText(this._empty, state === 'new' ? trans.__('This thread is empty. The first question begins it.') : '');
    this._empty.hidden = state !== 'new';
    this._showTurns(turns);
  }

  private _statusWords(): string {
    const { state, trouble } = this._options.conversation;
    if (state === 'gone') {
      return trans.__('This thread was deleted. The next question begins a new one with its name.');
    }
    return this._options.threads.denial?.message ?? trouble ?? (state === 'not-read' ? trans.__('Loading…') : '');
  }

  private _showTurns(turns: readonly Turn[]): void {
    // New turns come below and remove none above, so that the reader's place stays.
    if (this._first === null || !turns.some(({ id }) => id === this._first)) {
      this._first = turns.at(-AT_ONCE)?.id ?? turns[0]?.id ?? null;
    }
    const begin = Math.max(
      0,
      turns.findIndex(({ id }) => id === this._first)
    );
    const drawn = turns.slice(begin);
    const { actions, conversation, context } = this._options;
    setText(this._earlier, trans.__('Show earlier turns (%1)', begin));
    this._earlier.hidden = begin === 0;
    const gone = new Map(this._views);
    for (const turn of drawn) {
      let view = this._views.get(turn.id);
      if (view === undefined) {
        view = new TurnView(turn, conversation.askerOf(turn), context, job => actions.fork(conversation.name, job));
        this._views.set(turn.id, view);
      } else {
        gone.delete(turn.id);
        view.update(turn, conversation.askerOf(turn));
      }
    }
    arrange(
      this._turns,
      drawn.flatMap(({ id }) => this._views.get(id)?.node ?? [])
    );
    gone.forEach((view, id) => {
      view.dispose();
      this._views.delete(id);
    });
    this._keepEnd();
  }

  private _showEarlier(): void {
    const { turns } = this._options.conversation;
    const begin = turns.findIndex(({ id }) => id === this._first);
    this._first = turns[Math.max(0, begin - AT_ONCE)]?.id ?? null;
    const below = this._scroller.scrollHeight - this._scroller.scrollTop;
    this._showTurns(turns);
    this._scroller.scrollTop = this._scroller.scrollHeight - below;
    if (this._earlier.hidden) {
      this._scroller.focus({ preventScroll: true });
    }
  }

  /** Stop following the end when the reader scrolls up, and follow it again near the end. */
  private _scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    if (clientHeight === 0) {
      return; // it is not shown
    }
    // Not by the distance alone: what has just grown is no scrolling.
    if (scrollHeight - scrollTop - clientHeight <= NEAR) {
      this._atEnd = true;
    } else if (scrollTop < this._top) {
      this._atEnd = false;
    }
    this._top = scrollTop;
    this._newest.hidden = this._atEnd;
  }

  private _keepEnd(): void {
    if (this._atEnd) {
      this._scroller.scrollTop = this._scroller.scrollHeight;
    }
  }

  private _toEnd(): void {
    this._atEnd = true;
    this._newest.hidden = true;
    this._keepEnd();
  }

  private readonly _input: PromptInput;
  private readonly _resized: ResizeObserver;
  private readonly _name = element('h2', 'threadname');
  private readonly _origin = element('span', 'origin');
  private readonly _tools: HTMLButtonElement[] = [];
  private readonly _status = element('div', 'threadstatus');
  private readonly _scroller = element('div', 'conversation');
  private readonly _earlier = textButton('show-earlier', '', () => this._showEarlier());
  private readonly _empty = element('p', 'empty');
  private readonly _turns = element('ol', 'turns');
  private readonly _newest = button('newest', 'newest', () => this._toEnd(), trans.__('↓ Newest'));
  /** By the id of the turn. */
  private readonly _views = new Map<string, TurnView>();
  /** The first turn that is drawn. */
  private _first: string | null = null;
  private _atEnd = true;
  private _top = 0;
}
