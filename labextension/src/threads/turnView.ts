/** The view of one turn of a thread: the question, and the answer as in every other view. */

import { clipped, LongList } from '../render/boundedText';
import { element, setText, textButton } from '../render/dom';
import { PlainText } from '../render/plainText';
import { TextPane } from '../render/textPane';
import { trans } from '../translation';
import { AnswerView, type ViewContext } from '../views/answerView';
import { hasEnded } from '../wire/fold';
import type { MessageInfo, ToolCallInfo } from '../wire/types';
import { textOf, type Turn } from './turns';

const ROLES = {
  system: () => trans.__('System'),
  developer: () => trans.__('System'),
  assistant: () => trans.__('Answer'),
  tool: () => trans.__('Tool')
};

export class TurnView {
  readonly node = element('li', 'turn');

  /**
   * @param asker is the label of the author.
   * @param _forkAt begins a thread with all up to this job.
   */
  constructor(
    turn: Turn,
    asker: string,
    private readonly _context: ViewContext,
    private readonly _forkAt: (job: string) => void
  ) {
    this._turn = turn;
    this._fork.title = trans.__('Begin another thread with the conversation up to here');
    this.node.append(this._asked, this._answer, this._fork);
    this.update(turn, asker);
  }

  dispose(): void {
    this._panes.forEach(pane => pane.dispose());
    this._view?.dispose();
    this._pane?.dispose();
    this.node.remove();
  }

  update(turn: Turn, asker: string): void {
    this._turn = turn;
    this._showAsked(turn.asked, asker);
    if (turn.job === null) {
      this._showText(turn.answer ?? '');
    } else {
      this._showJob(turn.job, turn);
    }
    const { record, job } = turn;
    this._fork.hidden = job === null || !(record === null || hasEnded(record.status));
  }

  private _showAsked(asked: readonly MessageInfo[], asker: string): void {
    if (asker === this._asker && isSame(asked, this._shown)) {
      return;
    }
    this._asker = asker;
    this._shown = asked;
    this._panes.splice(0).forEach(pane => pane.dispose());
    const list = new LongList<MessageInfo>('messages', 'div', message => this._messageNode(message, asker));
    list.show(asked);
    this._asked.replaceChildren(list.node, list.more);
  }

  private _messageNode({ role, content, tool_calls }: MessageInfo, asker: string): HTMLElement {
    const node = element('div', 'said');
    node.dataset.role = role;
    const name = element('span', 'role', role === 'user' ? clipped(asker) : ROLES[role]());
    name.dir = 'auto';
    // As it was typed: a prompt is no Markdown, and its lines are its own.
    node.append(name, role === 'assistant' ? this._rendered(textOf(content)) : plainNode(textOf(content)));
    const calls = new LongList<ToolCallInfo>('calls', 'div', call => plainNode(`${call.name}(${call.arguments})`));
    calls.show(tool_calls ?? []);
    node.append(calls.node, calls.more);
    return node;
  }

  private _rendered(text: string): HTMLElement {
    const pane = new TextPane(this._context.markdown, () => undefined);
    this._panes.push(pane);
    pane.set(text, true);
    return pane.node;
  }

  /** Show the text of a deleted job, which is all that is left of it. */
  private _showText(text: string): void {
    this._view?.dispose();
    this._view = null;
    this._pane ??= new TextPane(this._context.markdown, () => undefined);
    this._pane.set(text, true);
    setText(this._gone, trans.__('Its job was deleted.'));
    if (this._pane.node.parentElement !== this._answer) {
      this._answer.replaceChildren(this._pane.node, this._gone);
    }
  }

  private _showJob(job: string, { record, answer }: Turn): void {
    this._pane?.dispose();
    this._pane = null;
    if (this._view?.holds(job) !== true) {
      this._view?.dispose();
      const saved = answer === null ? null : { text: answer, status: 'completed' as const };
      this._view = new AnswerView({ job, model: record?.model ?? '', saved, ...this._context });
      this._answer.replaceChildren(this._view.node);
    }
  }

  private _turn: Turn;
  private readonly _asked = element('div', 'asked');
  private readonly _answer = element('div', 'answered');
  private readonly _fork = textButton('fork-here', trans.__('Fork from here'), () =>
    this._forkAt(this._turn.record?.id ?? this._turn.job ?? '')
  );
  private readonly _gone = element('div', 'gone');
  private readonly _panes: TextPane[] = [];
  private _pane: TextPane | null = null;
  private _view: AnswerView | null = null;
  private _asker: string | null = null;
  /** The question on the screen. */
  private _shown: readonly MessageInfo[] = [];
}

function plainNode(text: string): HTMLElement {
  const words = new PlainText(element('div', 'words'));
  words.show(text);
  return words.node;
}

/** Return whether messages are equal. They may be long: while nothing was read anew they are the same array. */
function isSame(one: readonly MessageInfo[], other: readonly MessageInfo[]): boolean {
  return (
    one === other ||
    (one.length === other.length &&
      one.every(({ role, content }, i) => role === other[i]?.role && textOf(content) === textOf(other[i].content)))
  );
}
