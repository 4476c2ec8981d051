/** REST client of the server, and the address of its socket. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { trans } from '../translation';
import type { BatchVerb } from './liveBatches';
import type {
  CostList,
  BatchInfo,
  Inbox,
  JobInfo,
  JobPage,
  MessageInfo,
  ModelsInfo,
  Mute,
  JobSubmission,
  ThreadMessageInfo,
  ServerStatus,
  ThreadInfo,
  ThreadPage
} from './types';

/** A request that was refused (`code` of PROTOCOL.md) or failed without a response (`unreachable`). */
export class RequestError extends Error {
  constructor(
    /** The HTTP status; 0 without a response. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null
  ) {
    super(message);
  }
}

const HOME = 'api/bgstream';
/** The name of this API for Jupyter's authorizer. */
const RESOURCE = 'bgstream';

export class Requests {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  /** The newest jobs, without texts; those of one batch or thread, or with these ids (at most 500). */
  async jobs(limit: number, which: { batch?: string; ids?: string; thread?: string } = {}): Promise<JobPage> {
    return (await this._ask('GET', 'jobs', undefined, { limit: String(limit), ...which })) as JobPage;
  }

  async cancel(job: string): Promise<JobInfo> {
    return (await this._ask('POST', `jobs/${encodeURIComponent(job)}/cancel`)) as JobInfo;
  }

  /** Retry an ended job. Repeated calls return the same new job. */
  async retry(job: string): Promise<JobInfo> {
    return (await this._ask('POST', `jobs/${encodeURIComponent(job)}/retry`)) as JobInfo;
  }

  async batch(id: string): Promise<BatchInfo> {
    return (await this._ask('GET', `batches/${encodeURIComponent(id)}`)) as BatchInfo;
  }

  async changeBatch(id: string, verb: BatchVerb): Promise<BatchInfo> {
    return (await this._ask('POST', `batches/${encodeURIComponent(id)}/${verb}`)) as BatchInfo;
  }

  /** Read the file of an image in an answer. */
  async image(job: string, image: string): Promise<Blob> {
    const path = `jobs/${encodeURIComponent(job)}/images/${encodeURIComponent(image)}`;
    const response = await this._send(path, { method: 'GET', cache: 'no-cache' });
    if (!response.ok) {
      throw refusal(response, parsed(await response.text()));
    }
    try {
      return await response.blob();
    } catch {
      throw unreachable();
    }
  }

  async remove(job: string): Promise<void> {
    await this._ask('DELETE', `jobs/${encodeURIComponent(job)}`);
  }

  async submit(question: JobSubmission): Promise<JobInfo> {
    return (await this._ask('POST', 'jobs', question)) as JobInfo;
  }

  /** Read the messages of a job's prompt. */
  async messages(job: string): Promise<MessageInfo[]> {
    return ((await this._ask('GET', `jobs/${encodeURIComponent(job)}`)) as { messages: MessageInfo[] }).messages;
  }

  /** The threads that were used last, or the one with a name, if it exists. */
  async threads(which: { limit: string } | { thread: string }): Promise<ThreadPage> {
    return (await this._ask('GET', 'threads', undefined, which)) as ThreadPage;
  }

  async threadMessages(thread: string): Promise<ThreadMessageInfo[]> {
    return ((await this._ask('GET', 'threads/messages', undefined, { thread })) as { messages: ThreadMessageInfo[] })
      .messages;
  }

  /** Begin a thread with the messages of another, up to and including a job; null: all of them. */
  async fork(thread: string, name: string, after: string | null): Promise<ThreadInfo> {
    return (await this._ask('POST', 'threads/fork', { thread, name, after })) as ThreadInfo;
  }

  async rename(thread: string, name: string): Promise<ThreadInfo> {
    return (await this._ask('POST', 'threads/rename', { thread, name })) as ThreadInfo;
  }

  async removeThread(thread: string): Promise<void> {
    await this._ask('DELETE', 'threads', undefined, { thread });
  }

  async models(): Promise<ModelsInfo> {
    return (await this._ask('GET', 'models')) as ModelsInfo;
  }

  /** Return whether this user may submit prompts, as far as the server reports it. */
  async mayWrite(): Promise<boolean> {
    const permissions = JSON.stringify({ [RESOURCE]: ['write'] });
    const answer = await this._ask('GET', 'me', undefined, { permissions }, 'api');
    const { permissions: granted } = answer as { permissions?: Record<string, string[] | undefined> };
    return granted?.[RESOURCE]?.includes('write') ?? true;
  }

  async notices(): Promise<Inbox> {
    return (await this._ask('GET', 'notices')) as Inbox;
  }

  async markRead(which: { ids: string[] } | { all: true }): Promise<Inbox> {
    return (await this._ask('POST', 'notices/read', which)) as Inbox;
  }

  async dismiss(notice: string): Promise<void> {
    await this._ask('DELETE', `notices/${encodeURIComponent(notice)}`);
  }

  async mutes(): Promise<Mute[]> {
    return ((await this._ask('GET', 'mutes')) as { mutes: Mute[] }).mutes;
  }

  async mute({ kind, name }: Mute, on: boolean): Promise<Mute[]> {
    const answer = await this._ask(on ? 'PUT' : 'DELETE', 'mutes', undefined, { [kind]: name });
    return (answer as { mutes: Mute[] }).mutes;
  }

  /** Read the cost of jobs by day, from a time on. */
  async costs(since: number): Promise<CostList> {
    return (await this._ask('GET', 'costs', undefined, { by: 'day', since: String(Math.floor(since)) })) as CostList;
  }

  async status(): Promise<ServerStatus> {
    return (await this._ask('GET', 'status')) as ServerStatus;
  }

  /** The socket's address, with the token for pages that do not use cookies. */
  liveUrl(): string {
    const { wsUrl, token, appendToken } = this._settings;
    const url = URLExt.join(wsUrl, HOME, 'live');
    return appendToken && token !== '' ? `${url}?token=${encodeURIComponent(token)}` : url;
  }

  get WebSocket(): typeof WebSocket {
    return this._settings.WebSocket;
  }

  private async _ask(
    method: string,
    path: string,
    body?: unknown,
    query?: Record<string, string>,
    home = HOME
  ): Promise<unknown> {
    // Lab's own default, `no-store`, puts the time into the query, and this server refuses unknown parameters.
    const init: RequestInit = {
      method,
      cache: 'no-cache',
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    };
    const response = await this._send(path, init, query, home);
    let text: string;
    try {
      text = await response.text();
    } catch {
      throw unreachable();
    }
    const answer = parsed(text);
    if (!response.ok) {
      throw refusal(response, answer);
    }
    return answer;
  }

  private async _send(path: string, init: RequestInit, query?: Record<string, string>, home = HOME): Promise<Response> {
    const url = URLExt.join(this._settings.baseUrl, home, path) + (query ? URLExt.objectToQueryString(query) : '');
    try {
      return await ServerConnection.makeRequest(url, init, this._settings);
    } catch {
      throw unreachable();
    }
  }
}

function unreachable(): RequestError {
  return new RequestError(0, 'unreachable', trans.__('The server cannot be reached.'));
}

function refusal({ status, statusText }: Response, answer: unknown): RequestError {
  const { code, message, field } = (answer ?? {}) as { code?: string; message?: string; field?: string | null };
  // A proxy's error page, or Jupyter's own, has no code.
  return new RequestError(
    status,
    code ?? 'unexpected',
    message ?? trans.__('The server answered %1 %2.', status, statusText),
    field ?? null
  );
}

function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
