/** REST client of the server, and the address of its socket. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { trans } from '../translation';
import type { BatchVerb } from './liveBatches';
import type {
  BatchInfo,
  CostList,
  Inbox,
  JobDetail,
  JobInfo,
  JobPage,
  JobSubmission,
  MessageInfo,
  ModelsInfo,
  Mute,
  MuteList,
  ServerStatus,
  ThreadInfo,
  ThreadMessageInfo,
  ThreadMessages,
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

/** The response of Jupyter's `api/me`. */
interface Permissions {
  permissions?: Record<string, string[] | undefined>;
}

const HOME = 'api/bgstream';
/** The name of this API for Jupyter's authorizer. */
const RESOURCE = 'bgstream';

export class Requests {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  /** The newest jobs, without texts; those of one batch or thread, or with these ids (at most 500). */
  jobs = (limit: number, which: { batch?: string; ids?: string; thread?: string } = {}): Promise<JobPage> =>
    this._ask('GET', 'jobs', undefined, { limit: String(limit), ...which });

  submit = (question: JobSubmission): Promise<JobInfo> => this._ask('POST', 'jobs', question);

  cancel = (job: string): Promise<JobInfo> => this._ask('POST', `jobs/${encodeURIComponent(job)}/cancel`);

  /** Retry an ended job. Repeated calls return the same new job. */
  retry = (job: string): Promise<JobInfo> => this._ask('POST', `jobs/${encodeURIComponent(job)}/retry`);

  remove = (job: string): Promise<void> => this._ask('DELETE', `jobs/${encodeURIComponent(job)}`);

  /** Read the messages of a job's prompt. */
  messages = async (job: string): Promise<MessageInfo[]> => {
    const { messages }: JobDetail = await this._ask('GET', `jobs/${encodeURIComponent(job)}`);
    return messages;
  };

  batch = (id: string): Promise<BatchInfo> => this._ask('GET', `batches/${encodeURIComponent(id)}`);

  changeBatch = (id: string, verb: BatchVerb): Promise<BatchInfo> =>
    this._ask('POST', `batches/${encodeURIComponent(id)}/${verb}`);

  /** The threads that were used last, or the one with a name, if it exists. */
  threads = (which: { limit: string } | { thread: string }): Promise<ThreadPage> =>
    this._ask('GET', 'threads', undefined, which);

  threadMessages = async (thread: string): Promise<ThreadMessageInfo[]> => {
    const { messages }: ThreadMessages = await this._ask('GET', 'threads/messages', undefined, { thread });
    return messages;
  };

  /** Begin a thread with the messages of another, up to and including a job; null: all of them. */
  fork = (thread: string, name: string, after: string | null): Promise<ThreadInfo> =>
    this._ask('POST', 'threads/fork', { thread, name, after });

  rename = (thread: string, name: string): Promise<ThreadInfo> => this._ask('POST', 'threads/rename', { thread, name });

  removeThread = (thread: string): Promise<void> => this._ask('DELETE', 'threads', undefined, { thread });

  models = (): Promise<ModelsInfo> => this._ask('GET', 'models');

  notices = (): Promise<Inbox> => this._ask('GET', 'notices');

  markRead = (which: { ids: string[] } | { all: true }): Promise<Inbox> => this._ask('POST', 'notices/read', which);

  dismiss = (notice: string): Promise<void> => this._ask('DELETE', `notices/${encodeURIComponent(notice)}`);

  mutes = async (): Promise<Mute[]> => {
    const { mutes }: MuteList = await this._ask('GET', 'mutes');
    return mutes;
  };

  mute = async ({ kind, name }: Mute, on: boolean): Promise<Mute[]> => {
    const { mutes }: MuteList = await this._ask(on ? 'PUT' : 'DELETE', 'mutes', undefined, { [kind]: name });
    return mutes;
  };

  /** Read the cost of jobs by day, from a time on. */
  costs = (since: number): Promise<CostList> =>
    this._ask('GET', 'costs', undefined, { by: 'day', since: String(Math.floor(since)) });

  status = (): Promise<ServerStatus> => this._ask('GET', 'status');

  /** Return whether this user may submit prompts, as far as the server reports it. */
  mayWrite = async (): Promise<boolean> => {
    const permissions = JSON.stringify({ [RESOURCE]: ['write'] });
    const answer: Permissions = await this._ask('GET', 'me', undefined, { permissions }, 'api');
    return answer.permissions?.[RESOURCE]?.includes('write') ?? true;
  };

  /** Read the file of an image in an answer. */
  image = async (job: string, image: string): Promise<Blob> => {
    const path = `jobs/${encodeURIComponent(job)}/images/${encodeURIComponent(image)}`;
    const response = await this._send(path, { method: 'GET', cache: 'no-cache' });
    if (!response.ok) {
      throw refusal(response, parsed(await response.text()));
    }
    return response.blob().catch(throwUnreachable);
  };

  /** The socket's address, with the token for pages that do not use cookies. */
  liveUrl(): string {
    const { wsUrl, token, appendToken } = this._settings;
    const url = URLExt.join(wsUrl, HOME, 'live');
    return appendToken && token !== '' ? `${url}?token=${encodeURIComponent(token)}` : url;
  }

  get WebSocket(): typeof WebSocket {
    return this._settings.WebSocket;
  }

  /** Send a request. Each caller names the type of the response, which the server guarantees. */
  private async _ask(
    method: string,
    path: string,
    body?: unknown,
    query?: Record<string, string>,
    home = HOME
  ): Promise<never> {
    // Lab's own default, `no-store`, puts the time into the query, and this server refuses unknown parameters.
    const init: RequestInit = { method, cache: 'no-cache', ...(body !== undefined && { body: JSON.stringify(body) }) };
    const response = await this._send(path, init, query, home);
    const answer = parsed(await response.text().catch(throwUnreachable));
    if (!response.ok) {
      throw refusal(response, answer);
    }
    return answer as never;
  }

  private async _send(path: string, init: RequestInit, query?: Record<string, string>, home = HOME): Promise<Response> {
    const url = URLExt.join(this._settings.baseUrl, home, path) + (query ? URLExt.objectToQueryString(query) : '');
    return ServerConnection.makeRequest(url, init, this._settings).catch(throwUnreachable);
  }
}

function throwUnreachable(): never {
  throw new RequestError(0, 'unreachable', trans.__('The server cannot be reached.'));
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
