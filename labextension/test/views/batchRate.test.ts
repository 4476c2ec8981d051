import { describe, expect, it } from 'vitest';

import { BatchRate } from '../../src/views/batchRate';

/** What is seen of a batch every second: how many have ended, with ten tokens each. */
function watched(...ended: number[]): BatchRate {
  const pace = new BatchRate();
  ended.forEach((count, at) => pace.note({ at, ended: count, tokens: 10 * count }));
  return pace;
}

const steady = (seconds: number, each: number): number[] => Array.from({ length: seconds + 1 }, (_, i) => i * each);

describe('the time left', () => {
  it('is unknown before there is enough data', () => {
    expect(watched(0, 5, 10, 15).left(100, 3)).toBeNull(); // three seconds tell nothing
    expect(watched(0, 0, 0, 0, 0, 1, 2).left(100, 6)).toBeNull(); // nor do two ends
  });

  it('follows the rate', () => {
    expect(watched(...steady(10, 2)).left(100, 10)).toBe(50);
  });

  it('follows the recent rate, not the initial one', () => {
    const slow = steady(60, 1);
    const fast = steady(60, 10).map(count => 60 + count);
    expect(watched(...slow, ...fast.slice(1)).left(600, 120)).toBeCloseTo(60, -1);
  });

  it('grows while no job ends, and is unknown after a long standstill', () => {
    const pace = watched(...steady(10, 2));
    expect(pace.left(100, 30)).toBe(150);
    expect(pace.left(100, 70)).toBeNull();
  });

  it('is reset by retries', () => {
    const pace = watched(...steady(10, 2));
    pace.note({ at: 11, ended: 18, tokens: 180 });
    expect(pace.left(2, 11)).toBeNull();
  });
});

describe('a standstill', () => {
  it('is relative to the rate of the batch', () => {
    expect(watched(0, 5, 10).stalled(61)).toBeNull();
    expect(watched(0, 5, 10).stalled(62)).toBe(60);
    const slow = new BatchRate();
    [0, 100, 200, 300].forEach((at, ended) => slow.note({ at, ended, tokens: null }));
    expect(slow.stalled(700)).toBeNull();
    expect(slow.stalled(800)).toBe(500);
  });

  it('is also recognized from the beginning', () => {
    expect(watched(0).stalled(59)).toBeNull();
    expect(watched(0).stalled(60)).toBe(60);
    expect(new BatchRate().stalled(1000)).toBeNull();
  });
});

describe('tokens per second', () => {
  it('are those of the last half minute', () => {
    expect(watched(...steady(10, 2)).tokens(10)).toBe(20);
    expect(watched(...steady(2, 2)).tokens(2)).toBeNull();
    expect(watched(...steady(60, 1), ...steady(60, 10).map(count => 60 + count)).tokens(121)).toBeCloseTo(100, -1);
  });

  it('are unknown without usage', () => {
    const pace = new BatchRate();
    [0, 5, 10].forEach(at => pace.note({ at, ended: at, tokens: null }));
    expect(pace.tokens(10)).toBeNull();
  });
});

it('a long batch takes bounded memory', () => {
  const pace = new BatchRate();
  for (let at = 0; at < 100_000; at++) {
    pace.note({ at, ended: Math.floor(at / 1000), tokens: at });
  }
  expect((pace as unknown as { _seen: unknown[] })._seen.length).toBeLessThanOrEqual(300);
  expect(pace.stalled(100_000)).toBeNull();
});
