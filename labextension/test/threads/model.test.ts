import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ThreadsModel } from '../../src/threads/threadsModel';
import type { News } from '../../src/wire/jobFeed';
import { jobOf, refused, saidBy, serverOf, threadOf } from '../threadServer';
import { PROTOCOL } from '../../src/wire/types';

let server: ReturnType<typeof serverOf>;
let hear: (news: News) => void;
let model: ThreadsModel;

const hello: News = { type: 'hello', version: '0', protocol: PROTOCOL, server: 's' };
const hint: News = { type: 'job', job: 'whichever', status: 'running' };
const pass = (ms = 400): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  server = serverOf();
  model = new ThreadsModel(
    {
      listen: listener => {
        hear = listener;
        return { dispose: () => undefined };
      }
    },
    server
  );
  hear(hello);
});

afterEach(() => {
  model.dispose();
  vi.useRealTimers();
});

describe('the list', () => {
  it('is read at hints while it is visible, at a limited rate', async () => {
    hear(hint);
    await pass();
    expect(server.threads).not.toHaveBeenCalled();
    server.has.threads = [threadOf('trip')];
    const looking = model.look();
    await pass();
    expect(model.threads.map(({ name }) => name)).toEqual(['trip']);
    for (let i = 0; i < 50; i++) {
      hear(hint);
    }
    await pass(300);
    expect(server.threads.mock.calls.length).toBeLessThanOrEqual(3);
    looking.dispose();
    await pass(3000);
    server.threads.mockClear();
    hear(hint);
    await pass();
    expect(server.threads).not.toHaveBeenCalled();
  });

  it('reports why it may be outdated', async () => {
    server.threads.mockRejectedValueOnce(refused(503, 'unavailable', 'Starting.'));
    model.look();
    await pass();
    expect(model.trouble).toBe('Starting.');
    hear(hint);
    await pass();
    expect(model.trouble).toBeNull();
  });
});

describe('a conversation', () => {
  beforeEach(() => {
    server.has.threads = [threadOf('trip')];
    server.has.said = { trip: saidBy('a', 'One?', 'One.') };
    server.has.jobs = [jobOf('a', 'completed')];
  });

  it('is read again when its thread has changed, and only then', async () => {
    const trip = model.open('trip');
    await pass();
    expect(trip.turns.map(({ answer }) => answer)).toEqual(['One.']);
    hear(hint);
    await pass();
    expect(server.threadMessages).toHaveBeenCalledTimes(1);
    server.has.threads = [threadOf('trip', { jobs: 2, updated_at: 2, status: 'running' })];
    server.has.said.trip!.push(...saidBy('b', 'Two?'));
    server.has.jobs.unshift(jobOf('b', 'running'));
    hear(hint);
    await pass();
    expect(trip.turns.map(({ job }) => job)).toEqual(['a', 'b']);
  });

  it('has the whole question of a failed turn, or its title', async () => {
    server.has.jobs.unshift(jobOf('b', 'failed'), jobOf('c', 'failed'));
    server.messages.mockImplementation(job =>
      job === 'c'
        ? Promise.reject(refused(404, 'not_found', 'Gone.'))
        : Promise.resolve([{ role: 'user', content: 'All of it' }])
    );
    const trip = model.open('trip');
    await pass();
    expect(trip.turns.slice(1).map(({ asked }) => asked[0]!.content)).toEqual(['Title of c', 'All of it']);
  });

  it('is read again when the server did not respond', async () => {
    server.threadMessages.mockRejectedValueOnce(refused(0, 'unreachable', 'No way.'));
    const trip = model.open('trip');
    await pass();
    expect(trip.trouble).toBe('No way.');
    await pass(6000);
    expect([trip.trouble, trip.turns.length]).toEqual([null, 1]);
  });

  it('follows a rename here or elsewhere, and keeps its draft', async () => {
    const trip = model.open('trip');
    await pass();
    trip.write({ text: 'half a sen' });
    const renamed = (name: string): void => {
      server.has.threads = [threadOf(name)];
      server.has.said = { [name]: saidBy('a', 'One?', 'One.') };
      server.has.jobs = [jobOf('a', 'completed', { thread: name })];
    };
    renamed('Bern');
    hear(hint);
    await pass(1000);
    expect([trip.name, trip.state, trip.turns.length]).toEqual(['Bern', 'there', 1]);
    renamed('Berne');
    await model.rename('Bern', 'Berne');
    await pass(1000);
    expect([trip.name, trip.state]).toEqual(['Berne', 'there']);
    trip.dispose();
    expect(model.open('Berne').draft.text).toBe('half a sen');
  });

  it('reports that it was deleted, and is new under an unknown name', async () => {
    const trip = model.open('trip');
    await pass();
    server.has.jobs = [];
    await model.remove('trip');
    await pass();
    expect([trip.state, trip.turns]).toEqual(['gone', []]);
    const other = model.open('unheard of');
    await pass();
    expect(other.state).toBe('new');
  });
});

describe('a question', () => {
  it('is sent with an id of its own, and with the same one until it succeeds', async () => {
    server.has.threads = [threadOf('trip', { model: 'p/n' })];
    const trip = model.open('trip');
    await pass();
    trip.write({ text: 'And then?\n' });
    server.submit.mockRejectedValueOnce(refused(0, 'unreachable', 'The server cannot be reached.'));
    await trip.send();
    expect(trip.draft).toMatchObject({ text: 'And then?\n', error: 'The server cannot be reached.' });
    await trip.send();
    const [first, second] = server.submit.mock.calls.map(([question]) => question);
    expect(second).toEqual(first);
    expect(first).toEqual({
      id: expect.stringMatching(/^[A-Za-z0-9_-]{8,64}$/) as string,
      prompt: 'And then?\n',
      thread: 'trip',
      priority: 'interactive',
      model: 'p/n'
    });
    expect(trip.draft).toMatchObject({ text: '', error: null });
    trip.write({ text: 'And then?\n' }); // wanted once more
    await trip.send();
    expect(server.submit.mock.calls[2]![0].id).not.toBe(first!.id);
  });

  it('has no model if none is given, and is not sent twice or empty', async () => {
    const trip = model.open('new one');
    trip.write({ text: '  \n' });
    await trip.send();
    expect(server.submit).not.toHaveBeenCalled();
    trip.write({ text: 'Hello' });
    trip.write({ model: ' ' });
    await Promise.all([trip.send(), trip.send()]);
    expect(server.submit).toHaveBeenCalledTimes(1);
    expect(server.submit.mock.calls[0]![0]).not.toHaveProperty('model');
  });

  it('does not clear text that is typed while it is sent', async () => {
    const trip = model.open('trip');
    trip.write({ text: 'First' });
    const sending = trip.send();
    trip.write({ text: 'First, and the next' });
    await sending;
    expect(trip.draft.text).toBe('First, and the next');
  });

  it('is kept for its thread when its view is closed', () => {
    const trip = model.open('trip');
    trip.write({ text: 'not yet' });
    trip.dispose();
    expect(model.open('other').draft.text).toBe('');
    expect(model.open('trip').draft.text).toBe('not yet');
  });

  it('cannot be sent offline or without permission to write', async () => {
    expect(model.hindrance).toBeNull();
    hear({ type: 'offline' });
    expect(model.hindrance!.code).toBe('offline');
    hear(hello);
    server.has.mayWrite = false;
    model.open('trip');
    await pass();
    expect(model.hindrance!.code).toBe('forbidden');
  });
});

it('lists models once a minute, and again after a failure', async () => {
  server.models.mockRejectedValueOnce(refused(503, 'unavailable', 'Starting.'));
  await model.readModels();
  await model.readModels();
  await model.readModels();
  expect(model.models).toEqual(['best', 'p/m', 'p/n']);
  expect(server.models).toHaveBeenCalledTimes(2);
  await pass(59_999);
  await model.readModels();
  expect(server.models).toHaveBeenCalledTimes(2);
  await pass(1);
  await model.readModels();
  expect(server.models).toHaveBeenCalledTimes(3);
});
