import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { type Channel, WindowElection } from '../../src/panel/toastElection';

/** Windows that hear each other. */
class Air {
  readonly channels = new Set<Channel>();

  open(): Channel {
    const channel: Channel = {
      postMessage: data => {
        const others = [...this.channels].filter(each => each !== channel);
        queueMicrotask(() => others.forEach(({ onmessage }) => onmessage?.({ data } as never)));
      },
      onmessage: null,
      close: () => this.channels.delete(channel)
    };
    this.channels.add(channel);
    return channel;
  }
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('document', { hasFocus: () => false });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('one of several windows may show a toast, also of late ones', async () => {
  const air = new Air();
  const said: number[] = [];
  const speak = (n: number, random: number): void => {
    const speaker = new WindowElection(air.open(), () => random);
    void speaker.mayShow('a').then(may => may && said.push(n));
  };
  speak(1, 0.5);
  speak(2, 0.7);
  await pass(100);
  speak(3, 0.6);
  speak(4, 0.8);
  await pass(150);
  expect(said).toEqual([1]);
  speak(5, 0.1); // it has not received the message of the election
  await pass(1000);
  expect(said).toEqual([1]);
});

it('the focused window is elected', async () => {
  const air = new Air();
  const [quiet, focused] = [new WindowElection(air.open(), () => 0.1), new WindowElection(air.open(), () => 0.9)];
  const one = quiet.mayShow('a');
  vi.stubGlobal('document', { hasFocus: () => true });
  const two = focused.mayShow('a');
  await pass(300);
  expect(await Promise.all([one, two])).toEqual([false, true]);
});

it('a single window may show each toast once', async () => {
  const speaker = new WindowElection(null);
  const all = Promise.all([speaker.mayShow('a'), speaker.mayShow('b')]);
  await pass(10);
  expect(await all).toEqual([true, true]);
  expect(await speaker.mayShow('a')).toBe(false);
});
