/** Model of the threads: the list, which is updated while it is visible, and the open threads. */

import { trans } from '../translation';
import type { Denial, Disposable, News } from '../wire/jobFeed';
import type { Live } from '../wire/liveJobs';
import type { Requests } from '../wire/restClient';
import { LiveModel } from '../wire/serverModel';
import type { ThreadInfo } from '../wire/types';
import { Conversation, type ConversationServer, type Draft } from './conversation';

const LIMIT = 100;
/** The server caches the models of providers equally long. */
const MODELS_FOR = 60_000; // ms

type Server = ConversationServer & Pick<Requests, 'fork' | 'rename' | 'removeThread' | 'models' | 'mayWrite'>;

/** The threads, the models and what the user may do. */
export class ThreadsModel extends LiveModel {
  /** Threads, the most recently used first. */
  threads: readonly ThreadInfo[] = [];
  /** Available models, by their full names and aliases. */
  models: readonly string[] = [];
  /** The default model. */
  defaultModel: string | null = null;

  constructor(
    live: Pick<Live, 'listen'>,
    private readonly _server: Server
  ) {
    super(live);
  }

  override dispose(): void {
    [...this._open].forEach(conversation => conversation.dispose());
    super.dispose();
  }

  /** Why no prompt can be submitted now; null if one can. */
  get hindrance(): { code: 'offline' | Denial['code']; message: string } | null {
    if (this.denial !== null) {
      const { code, message } = this.denial;
      // A reload would lose the draft; a sign-in in another page keeps it.
      return code === 'forbidden'
        ? this.denial
        : { code, message: trans.__('%1. Or sign in in another tab: that keeps what you write.', message) };
    }
    if (!this._mayWrite) {
      const message = trans.__('You may read this thread. This server does not let you submit prompts.');
      return { code: 'forbidden', message };
    }
    return this.online ? null : { code: 'offline', message: trans.__('Reconnecting… What you write is kept.') };
  }

  /** Why the list may be outdated; null if it is not. */
  get trouble(): string | null {
    return this.online ? this._fetch.failure : null; // the panel shows already that the page is offline
  }

  override look(): Disposable {
    const looking = super.look();
    this._ask();
    return looking;
  }

  /** Follow a thread, which may not have begun yet, until what this returns is disposed of. */
  open(name: string): Conversation {
    let draft = this._drafts.get(name);
    if (draft === undefined) {
      draft = { text: '', model: null, id: null, error: null };
      this._drafts.set(name, draft);
    }
    const conversation = new Conversation(name, draft, this._server, (moved, before) => {
      this._drafts.delete(before);
      this._drafts.set(moved.name, moved.draft);
    });
    this._open.add(conversation);
    conversation.ended.connect(() => {
      this._open.delete(conversation);
      const { text, model } = conversation.draft;
      if (text === '' && model === null) {
        this._drafts.delete(conversation.name);
      }
    });
    void this._readPermission();
    return conversation;
  }

  /** Begin a thread with the messages of another, up to and including a job; null: all of them. */
  async fork(name: string, fork: string, after: string | null): Promise<void> {
    await this._server.fork(name, fork, after);
    this._ask();
  }

  async rename(before: string, name: string): Promise<void> {
    await this._server.rename(before, name);
    for (const conversation of this._open) {
      if (conversation.name === before) {
        conversation.name = name;
      }
    }
    this._ask();
  }

  async remove(name: string): Promise<void> {
    await this._server.removeThread(name);
    this._open.forEach(conversation => conversation.refresh());
    this._ask();
  }

  /** Read the available models, unless they were read recently. */
  async readModels(): Promise<void> {
    const now = Date.now();
    if (now - this._modelsAt < MODELS_FOR) {
      return;
    }
    this._modelsAt = now;
    try {
      const list = await this._server.models();
      this.defaultModel = list.default;
      this.models = [...new Set([...Object.keys(list.aliases), ...list.providers.flatMap(({ models }) => models)])];
      this.settled();
    } catch {
      this._modelsAt = -Infinity; // a name can be written without a list
    }
  }

  private async _readPermission(): Promise<void> {
    try {
      this._mayWrite = await this._server.mayWrite();
      this.settled();
    } catch {
      // If prompts are forbidden, the refused request shows the reason.
    }
  }

  protected hear(news: News): void {
    if (news.type === 'hello' || news.type === 'offline') {
      this.changed.emit();
    }
    // A hint does not say which thread it is about; a conversation that is the same costs one small answer.
    if (news.type === 'hello' || news.type === 'job') {
      this._ask();
      this._open.forEach(conversation => conversation.refresh());
    }
  }

  private _ask(): void {
    if (this.lookers > 0) {
      this._fetch.ask();
    }
  }

  private async _read(): Promise<void> {
    this.threads = (await this._server.threads({ limit: String(LIMIT) })).threads;
  }

  private readonly _fetch = this.fetch(() => this._read());
  private readonly _open = new Set<Conversation>();
  /** Open threads, by name. */
  private readonly _drafts = new Map<string, Draft>();
  private _modelsAt = -Infinity;
  private _mayWrite = true;
}
