// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Followed } from '../../src/wire/jobFeed';
import { KernelBatch, KernelFeed } from '../../src/wire/kernelRelay';
import type { Chain } from '../../src/wire/retryChains';
import type { JobInfo, Status, WireEvent } from '../../src/wire/types';
import { batchOf, log } from '../dom';

/** A widget's model, whose kernel is the test. */
class Model {
  readonly state: Record<string, unknown> = {};
  readonly sent: Record<string, unknown>[] = [];
  private readonly _listeners = new Map<string, Set<(...args: never[]) => void>>();

  get = (name: string): unknown => this.state[name];
  send: (content: unknown) => void = content => void this.sent.push(content as Record<string, unknown>);
  on = (name: string, listener: (...args: never[]) => void): void => {
    this._listeners.set(name, (this._listeners.get(name) ?? new Set()).add(listener));
  };
  off = (name: string, listener: (...args: never[]) => void): void => void this._listeners.get(name)?.delete(listener);

  get listening(): number {
    return [...this._listeners.values()].reduce((sum, each) => sum + each.size, 0);
  }

  say(name: string, ...args: unknown[]): void {
    this._listeners.get(name)?.forEach(listener => (listener as (...args: unknown[]) => void)(...args));
  }

  /** An update of the state, as one message brings it. */
  update(state: Record<string, unknown>): void {
    Object.assign(this.state, state);
    this.say('change');
  }

  relay(...entries: object[]): void {
    const from = Number(this.state.log ?? 0);
    this.update({
      ...Object.fromEntries(entries.map((entry, i) => [`log_${from + i}`, JSON.stringify(entry)])),
      log: from + entries.length
    });
  }
}

const EVENTS = log(
  { type: 'queued' },
  { type: 'attempt' },
  { type: 'delta', channel: 'text', text: 'one ' },
  { type: 'delta', channel: 'text', text: 'two' },
  { type: 'completed', finish_reason: 'stop' }
);

function frame(events: WireEvent[], job = 'j1'): object {
  const last = events.at(-1)!;
  return { type: 'events', job, cursor: `c${last.seq}`, events, closed: last.type === 'completed' };
}

function record(id: string, status: Status, more: Partial<JobInfo> = {}): object {
  return { type: 'jobs', jobs: [{ id, status, model: 'p/m', retry_of: null, retried_by: null, ...more }] };
}

let model: Model;
let kernel: KernelFeed;
let state: Followed;

async function open(): Promise<void> {
  kernel = new KernelFeed(model);
  kernel.live.follow('j1', each => {
    state = each;
  });
  await vi.advanceTimersByTimeAsync(0);
}

beforeEach(() => {
  vi.useFakeTimers();
  model = new Model();
});

afterEach(() => {
  kernel.dispose();
  expect(model.listening).toBe(0);
  vi.useRealTimers();
});

describe('a kernel that relays', () => {
  it('delivers earlier and later events once', async () => {
    model.relay(frame(EVENTS.slice(0, 3)));
    await open();
    expect([state.answer.text, state.online]).toEqual(['one ', true]);
    model.relay(frame(EVENTS.slice(3, 4)));
    expect(state.answer.text).toBe('one two');
    model.relay(frame(EVENTS.slice(4)));
    expect([state.answer.status, state.closed]).toEqual(['completed', true]);
    expect(model.sent).toEqual([{ type: 'relay', have: 1 }]);
  });

  it('is asked again for lost messages', async () => {
    await open();
    const [lost, next] = [frame(EVENTS.slice(0, 3)), frame(EVENTS.slice(3))].map(each => JSON.stringify(each));
    model.update({ log_1: next, log: 2 });
    expect(model.sent.at(-1)).toEqual({ type: 'relay', have: 0 });
    model.update({ log_0: lost, log_1: next, log: 2 });
    expect(state.answer.text).toBe('one two');
  });

  it('stays online during a long silence', async () => {
    model.relay(frame(EVENTS.slice(0, 3)));
    await open();
    const online: boolean[] = [];
    kernel.live.follow('j1', each => online.push(each.online));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(online).not.toContain(false);
  });

  it('is offline without its server or when it may be gone, and continues when it is back', async () => {
    model.relay(frame(EVENTS.slice(0, 3)));
    await open();
    model.update({ connection: 'offline' });
    expect(state.online).toBe(false);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(state.online).toBe(false);
    model.update({ connection: 'online' });
    await vi.advanceTimersByTimeAsync(0);
    expect([state.online, state.answer.text]).toEqual([true, 'one ']);
    model.say('comm_live_update');
    expect(state.online).toBe(false);
    model.relay(frame(EVENTS.slice(3)));
    await vi.advanceTimersByTimeAsync(1000);
    expect([state.online, state.answer.text]).toEqual([true, 'one two']);
  });

  it('restarts with another log of the same job', async () => {
    model.relay(frame(EVENTS.slice(0, 3)));
    await open();
    model.relay({ type: 'reset', job: 'j1' }, frame(EVENTS));
    await vi.advanceTimersByTimeAsync(0);
    expect([state.answer.text, state.answer.status]).toEqual(['one two', 'completed']);
  });

  it('is asked to follow a job that it does not read yet', async () => {
    await open();
    let earlier = '';
    kernel.live.follow('j0', ({ answer }) => {
      earlier = answer.text;
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(model.sent.at(-1)).toEqual({ type: 'follow', job: 'j0' });
    model.relay(frame(EVENTS, 'j0'));
    expect(earlier).toBe('one two');
  });

  it('reports chains of retries', async () => {
    await open();
    const chains: string[][] = [];
    kernel.retries.watch('j1', (chain: Chain) => chains.push(chain.map(({ id }) => id)));
    model.relay(record('j1', 'failed'));
    await vi.advanceTimersByTimeAsync(0);
    model.relay(record('j1', 'failed', { retried_by: 'j2' }), record('j2', 'completed', { retry_of: 'j1' }));
    await vi.advanceTimersByTimeAsync(0);
    expect(chains).toEqual([['j1'], ['j1', 'j2']]);
  });

  it('executes a request, or reports why not', async () => {
    await open();
    const stopping = kernel.live.cancel('j1');
    const { call } = model.sent.at(-1)!;
    expect(model.sent.at(-1)).toEqual({ type: 'cancel', job: 'j1', call });
    model.say('msg:custom', { type: 'done', call: 'of another page' });
    model.say('msg:custom', { type: 'done', call, job: { id: 'j1' } });
    await stopping;
    const asking = kernel.retries.retry('j1', null);
    model.say('msg:custom', { type: 'done', call: model.sent.at(-1)!.call, error: { code: 'x', message: 'Not so.' } });
    await expect(asking).rejects.toThrow('Not so.');
  });

  it('is reported as busy when it does not respond', async () => {
    await open();
    const stopping = expect(kernel.live.cancel('j1')).rejects.toThrow('busy');
    await vi.advanceTimersByTimeAsync(3000);
    await stopping;
  });
});

describe('a batch that a kernel relays', () => {
  let received: string[];
  let batch: KernelBatch;

  beforeEach(() => {
    received = [];
    model.update({ group: batchOf({ completed: 1 }), connection: 'online', error: null });
    batch = new KernelBatch(model);
    kernel = batch as never; // it has to leave no listener either
  });

  it('is offline when the kernel is gone, and updated when it sends again', () => {
    const following = batch.follow('g', (now, trouble) => received.push(`${now?.status} ${trouble?.code ?? ''}`));
    model.say('comm_live_update');
    expect(received.at(-1)).toBe('running offline');
    model.update({ group: batchOf({ completed: 3 }) });
    expect(received.at(-1)).toBe('completed ');
    following.dispose();
  });

  it('rejects a stop at once when the kernel is gone', async () => {
    model.send = () => {
      throw new Error('Cannot send');
    };
    await expect(batch.change('g', 'cancel')).rejects.toThrow('the kernel that showed this is gone');
  });
});
