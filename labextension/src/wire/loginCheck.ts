/** Finds out over REST why the live socket does not open: a browser's WebSocket hides the HTTP status. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { Access } from './jobFeed';

/** A request that takes longer has no result. */
const TIMEOUT = 10_000; // ms

/**
 * The result of a request: JSON; `refused`, a 401 or 403; `login`, a page in place of JSON or a redirect to another
 * site; or `nothing`, no information about the login, as during problems of the network or a server.
 */
type Found = { json: unknown } | 'refused' | 'login' | 'nothing';

/** Find out whether the server still accepts this page's login. Never rejects. */
export async function checkAccess(settings: ServerConnection.ISettings): Promise<Access> {
  let found = await find(settings, 'api/bgstream/status');
  if (typeof found === 'object') {
    return 'granted';
  }
  if (found === 'refused') {
    // Jupyter has one status for two reasons: the login is not accepted, or the user may not read.
    found = await find(settings, 'api/me');
    if (typeof found === 'object') {
      return hasUser(found.json) ? 'forbidden' : 'signed-out';
    }
  }
  return found === 'nothing' ? 'unknown' : 'signed-out';
}

async function find(settings: ServerConnection.ISettings, path: string): Promise<Found> {
  const response = await ask(settings, path);
  if (response === null) {
    // A login page on another site cannot be read from here and looks like no response. This is not the first request:
    // JupyterHub also redirects requests to a server that has stopped.
    const unread = await ask(settings, path, 'manual');
    return unread?.type === 'opaqueredirect' ? 'login' : 'nothing';
  }
  if (response.status === 401 || response.status === 403) {
    return 'refused';
  }
  return response.ok ? read(response) : 'nothing';
}

async function ask(
  settings: ServerConnection.ISettings,
  path: string,
  redirect: RequestRedirect = 'follow'
): Promise<Response | null> {
  try {
    const init: RequestInit = { cache: 'no-cache', redirect, signal: AbortSignal.timeout(TIMEOUT) };
    return await ServerConnection.makeRequest(URLExt.join(settings.baseUrl, path), init, settings);
  } catch {
    return null;
  }
}

async function read(response: Response): Promise<Found> {
  let body: string;
  try {
    body = await response.text();
  } catch {
    return 'nothing'; // the connection broke, or the time was up
  }
  try {
    return { json: JSON.parse(body) };
  } catch {
    // Some proxies hide that a body was cut; but no login page has the type JSON or is empty.
    const isPage = body !== '' && !/\bjson\b/i.test(response.headers.get('Content-Type') ?? '');
    return isPage ? 'login' : 'nothing';
  }
}

/** Return whether an answer of `api/me` names a user. */
function hasUser(json: unknown): boolean {
  return Boolean((json as { identity?: unknown } | null)?.identity);
}
