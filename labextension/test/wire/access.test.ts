import { ServerConnection } from '@jupyterlab/services';
import { expect, it } from 'vitest';

import { checkAccess } from '../../src/wire/loginCheck';

type Reply = Response | Error;

/** Settings whose server gives these replies, one after the other; and the requests that it got. */
function server(...replies: Reply[]): { settings: ServerConnection.ISettings; asked: () => string[] } {
  const requests: Request[] = [];
  const fetch = (request: Request): Promise<Response> => {
    requests.push(request);
    const reply = replies.shift()!;
    return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
  };
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://server/user/ann/',
    fetch: fetch as unknown as ServerConnection.ISettings['fetch']
  });
  return {
    settings,
    asked: () => requests.map(({ url, redirect }) => `${url.replace('http://server', '')} ${redirect}`)
  };
}

const json = (body: unknown, status = 200): Response => new Response(JSON.stringify(body), { status });
const html = (status = 200): Response =>
  new Response('<html>Sign in</html>', { status, headers: { 'Content-Type': 'text/html' } });
/** An answer whose connection breaks in its body. */
const cut = (status = 200): Response => {
  const start = (body: ReadableStreamDefaultController): void => {
    body.enqueue(new TextEncoder().encode('{"identity"'));
    setTimeout(() => body.error(new TypeError('network error')));
  };
  return new Response(new ReadableStream({ start }), { status });
};
/** An answer whose body ends too early, and nothing says so. */
const short = (body: string): Response => new Response(body, { headers: { 'Content-Type': 'application/json' } });
const named = (type: ResponseType): Response => Object.defineProperty(new Response(null), 'type', { value: type });

const STATUS = '/user/ann/api/bgstream/status';

it('access is granted when the server returns its status', async () => {
  const { settings, asked } = server(json({ version: '0.1.0', server: 's', protocol: 2 }));
  expect(await checkAccess(settings)).toBe('granted');
  expect(asked()).toEqual([`${STATUS} follow`]);
});

it.each([401, 403])('access is signed out when status returns %i and identity is refused', async status => {
  const { settings, asked } = server(json({ code: 'forbidden' }, status), json({ message: 'Forbidden' }, 403));
  expect(await checkAccess(settings)).toBe('signed-out');
  expect(asked()).toEqual([`${STATUS} follow`, '/user/ann/api/me follow']);
});

it('access is forbidden when the server knows the user and denies reading', async () => {
  const { settings } = server(json({ code: 'forbidden' }, 403), json({ identity: { username: 'ann' } }));
  expect(await checkAccess(settings)).toBe('forbidden');
});

it('access is signed out when status returns a login page', async () => {
  expect(await checkAccess(server(html()).settings)).toBe('signed-out');
});

it.each([
  ['JSON without a user', json({ identity: null })],
  ['a refusal', json({}, 401)],
  ['a login page', html()]
])('access is signed out when status is refused and identity returns %s', async (_, user) => {
  expect(await checkAccess(server(json({}, 403), user).settings)).toBe('signed-out');
});

it('access is signed out when status is refused and identity redirects to another site', async () => {
  const { settings } = server(json({}, 403), new TypeError('CORS'), named('opaqueredirect'));
  expect(await checkAccess(settings)).toBe('signed-out');
});

it('access is signed out when status redirects to another site', async () => {
  const { settings, asked } = server(new TypeError('CORS'), named('opaqueredirect'));
  expect(await checkAccess(settings)).toBe('signed-out');
  expect(asked()).toEqual([`${STATUS} follow`, `${STATUS} manual`]);
});

it.each([404, 424, 500, 502, 503])('access is unknown while the server or a proxy returns %i', async status => {
  expect(await checkAccess(server(html(status)).settings)).toBe('unknown');
});

it('access is unknown without a response', async () => {
  expect(await checkAccess(server(new TypeError('refused'), new TypeError('refused')).settings)).toBe('unknown');
  const { settings } = server(json({ code: 'forbidden' }, 403), new TypeError('refused'));
  expect(await checkAccess(settings)).toBe('unknown');
});

it.each([
  ['breaks', cut],
  ['ends too early', () => short('{"identity"')],
  ['is empty', () => short('')]
])('access is unknown when the body of a response %s', async (_, broken) => {
  expect(await checkAccess(server(broken()).settings)).toBe('unknown');
  expect(await checkAccess(server(json({}, 403), broken()).settings)).toBe('unknown');
});

it.each([404, 424, 500, 502, 503])('access is unknown when identity returns %i', async status => {
  expect(await checkAccess(server(json({}, 403), html(status)).settings)).toBe('unknown');
  expect(await checkAccess(server(json({}, 403), json({}, status)).settings)).toBe('unknown');
  expect(await checkAccess(server(json({}, 403), cut(status)).settings)).toBe('unknown');
});
