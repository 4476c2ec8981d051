/** The input of a thread: the prompt, the model, and why it cannot be sent now. */

import { element, setText } from '../render/dom';
import { trans } from '../translation';
import type { Conversation } from './conversation';
import type { ThreadsModel } from './threadsModel';

let lists = 0;

export class PromptInput {
  readonly node = element('form', 'composer');

  /** @param sent is called when the user sends. */
  constructor(
    private readonly _conversation: Conversation,
    private readonly _threads: ThreadsModel,
    private readonly _sent: () => void
  ) {
    this._build();
    _conversation.changed.connect(this._show, this);
    _threads.changed.connect(this._show, this);
    this._show();
  }

  dispose(): void {
    this._conversation.changed.disconnect(this._show, this);
    this._threads.changed.disconnect(this._show, this);
    this.node.remove();
  }

  focus(): void {
    this._fit(); // what was kept may be long
    this._text.focus({ preventScroll: true });
  }

  private _build(): void {
    // Lumino's shortcuts stop at this attribute, and what bubbles stays here.
    this.node.dataset.lmSuppressShortcuts = 'true';
    this.node.addEventListener('keydown', event => this._press(event));
    this.node.addEventListener('submit', event => {
      event.preventDefault();
      this._send();
    });
    this._text.rows = 2;
    this._text.name = 'prompt';
    this._text.addEventListener('input', () => {
      this._conversation.write({ text: this._text.value });
      this._fit();
    });
    const names = this._names;
    names.id = `jp-bgstream-models-${++lists}`;
    this._model.type = 'text';
    this._model.name = 'model';
    this._model.autocomplete = 'off';
    this._model.spellcheck = false;
    this._model.setAttribute('list', names.id);
    this._model.setAttribute('aria-label', trans.__('Model'));
    this._model.addEventListener('focus', () => void this._threads.readModels());
    this._model.addEventListener('input', () => this._conversation.write({ model: this._model.value }));
    this._button.type = 'submit';
    this._button.dataset.action = 'send';
    this._button.title = trans.__('Send (Ctrl+Enter)');
    this._error.setAttribute('role', 'alert');
    this._hint.setAttribute('role', 'status');
    this._hint.id = `${names.id}-hint`;
    this._text.setAttribute('aria-describedby', this._hint.id);
    const row = element('div', 'composing', this._model, names, this._hint, this._button);
    this.node.append(this._error, this._text, row);
  }

  private _press(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.isComposing) {
      return;
    }
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this._send();
    } else if (event.key === 'Enter' && event.target === this._model) {
      event.preventDefault(); // a name is not a question yet
      this._text.focus();
    }
  }

  private _send(): void {
    if (this._mayNot === null) {
      this._sent();
      void this._conversation.send();
    }
  }

  /** Why it cannot be sent now; empty where that is plain. */
  private get _mayNot(): string | null {
    const { draft, isSending } = this._conversation;
    const { hindrance } = this._threads;
    return hindrance !== null
      ? hindrance.message
      : isSending
        ? trans.__('Sending…')
        : draft.text.trim() === ''
          ? ''
          : null;
  }

  private _show(): void {
    const { draft, model, name } = this._conversation;
    const forbidden = this._threads.hindrance?.code === 'forbidden';
    const mayNot = this._mayNot;
    this._text.setAttribute('aria-label', trans.__('Continue the thread %1', name));
    this._text.placeholder = forbidden ? '' : trans.__('Continue this thread…');
    this._text.disabled = this._model.disabled = forbidden;
    if (this._text.value !== draft.text) {
      this._text.value = draft.text;
      this._fit();
    }
    if (this._model.value !== model) {
      this._model.value = model;
    }
    const { defaultModel, models } = this._threads;
    this._model.placeholder = defaultModel ?? trans.__('model');
    this._model.title = model === '' ? trans.__('The model that answers; empty: the server’s default') : model;
    if (this._listed !== models) {
      this._listed = models;
      this._names.replaceChildren(...models.map(optionOf));
    }
    // Not `disabled`, which would take the focus away while it is sent.
    this._button.setAttribute('aria-disabled', String(mayNot !== null));
    setText(this._hint, mayNot ?? '');
    setText(this._error, draft.error ?? '');
    this._error.hidden = draft.error === null;
  }

  /** Make the field as high as what is in it. */
  private _fit(): void {
    this._text.style.height = 'auto';
    const { offsetHeight, clientHeight, scrollHeight } = this._text;
    if (scrollHeight > 0) {
      this._text.style.height = `${scrollHeight + offsetHeight - clientHeight}px`;
    }
  }

  private readonly _text = element('textarea', 'prompt');
  private readonly _model = element('input', 'modelname');
  private readonly _button = element('button', 'send', trans.__('Send'));
  private readonly _hint = element('span', 'hint');
  private readonly _error = element('div', 'refused');
  private readonly _names = element('datalist', 'models');
  private _listed: readonly string[] = [];
}

function optionOf(name: string): HTMLOptionElement {
  const option = document.createElement('option');
  option.value = name;
  return option;
}
