// @vitest-environment jsdom
/** A widget's kernel and its saved state are untrusted. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { PAGE_GLOBALS, type PageGlobals } from '../../src/views/sharedPage';
import widget from '../../src/widget';
import type { Followed } from '../../src/wire/jobFeed';
import { KernelCalls } from '../../src/wire/kernelCalls';
import { KernelFeed } from '../../src/wire/kernelRelay';
import { log } from '../dom';

type Listener = (...args: never[]) => void;

/** A widget's model whose state and messages are the test's. */
class Model {
  readonly sent: { type: string; call: string }[] = [];

  constructor(private readonly _state: Record<string, unknown>) {}

  get = (name: string): unknown => this._state[name];
  send = (content: unknown): void => void this.sent.push(content as { type: string; call: string });
  on = (name: string, listener: Listener): void => void this._listeners.push([name, listener]);
  off = (name: string, listener: Listener): void => {
    this._listeners = this._listeners.filter(each => each[0] !== name || each[1] !== listener);
  };

  say(name: string, ...args: unknown[]): void {
    this._listeners
      .filter(each => each[0] === name)
      .forEach(([, listener]) => (listener as (...args: unknown[]) => void)(...args));
  }

  private _listeners: [string, Listener][] = [];
}

const NO_IDS = [undefined, null, 7, '', '..', 'a/b', 'a,b', 'a b', '\ud800', 'x'.repeat(100_000), ['good'], {}];

describe('an id in the state of a widget', () => {
  const [follow, watch, answer, batch] = [vi.fn(), vi.fn(), vi.fn(), vi.fn()];

  beforeEach(() => {
    const page = { live: { follow }, retries: { watch }, batches: { follow }, markdown: {}, answer, batch };
    (globalThis as { [PAGE_GLOBALS]?: PageGlobals })[PAGE_GLOBALS] = page as never;
  });

  afterEach(() => Reflect.deleteProperty(globalThis, PAGE_GLOBALS));

  it.each(['job', 'batch'].flatMap(kind => NO_IDS.map((id, i) => [kind, i, id] as const)))(
    'of a %s that is not valid (%i) is not requested',
    (kind, _, id) => {
      const model = new Model({ kind, id, model: 'p/m' });
      const el = document.createElement('div');
      widget.initialize({ model });
      widget.render({ model, el })();
      expect([follow, watch, answer, batch].flatMap(each => each.mock.calls)).toEqual([]);
      expect(el.textContent).toBe(`This widget has no valid id of a ${kind}.`);
    }
  );
});

describe('a log that a kernel relays', () => {
  it('is given up if it still does not fit after repetitions', async () => {
    vi.useFakeTimers();
    const warn = vi.spyOn(console, 'error').mockReturnValue();
    const good = log({ type: 'queued' }, { type: 'attempt' }, { type: 'delta', channel: 'text', text: 'one' });
    const bad = [{ ...good[2]!, seq: 99 }];
    const state = {
      log_0: JSON.stringify({ type: 'events', job: 'j1', cursor: 'c3', events: good, closed: false }),
      log_1: JSON.stringify({ type: 'events', job: 'j1', cursor: 'c99', events: bad, closed: false }),
      log: 2
    };
    const kernel = new KernelFeed(new Model(state));
    let seen: Followed | undefined;
    // Without an end to it, this would never return to the test.
    const parsed = JSON.parse.bind(JSON);
    let calls = 0;
    const parse = vi.spyOn(JSON, 'parse').mockImplementation((...args) => {
      if (++calls > 1000) {
        throw new Error('There is no end to it.');
      }
      return parsed(...args) as unknown;
    });
    kernel.live.follow('j1', each => void (seen = each));
    await vi.advanceTimersByTimeAsync(1000);
    parse.mockRestore();
    expect(calls).toBeLessThan(100);
    expect([seen?.answer.text, seen?.trouble?.code]).toEqual(['one', 'bad_log']);
    expect(warn).toHaveBeenCalled();
    kernel.dispose();
    warn.mockRestore();
    vi.useRealTimers();
  });
});

describe('an image that a kernel sends', () => {
  it('has no more bytes than announced', async () => {
    const model = new Model({});
    const images = new KernelCalls(model);
    const loading = images.image('j1', { id: '1-1', media_type: 'image/png', bytes: 1000 });
    const refused = expect(loading).rejects.toThrow('more bytes than announced');
    const { call } = model.sent[0]!;
    for (let n = 0; n < 3; n++) {
      model.say('msg:custom', { type: 'piece', call }, [new DataView(new ArrayBuffer(400))]);
    }
    await refused;
    images.dispose();
  });
});
