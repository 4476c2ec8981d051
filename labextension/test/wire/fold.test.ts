import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import {
  type Answer,
  applyTimes,
  EMPTY_ANSWER,
  fold,
  hasEnded,
  IllegalEventError,
  NO_TIMES,
  OutOfOrderError
} from '../../src/wire/fold';
import type { WireEvent } from '../../src/wire/types';
import { cpuTime } from '../cpu';

interface Case {
  name: string;
  events: WireEvent[];
  state?: Answer;
  error?: string;
}

const golden = JSON.parse(readFileSync(new URL('../../../tests/golden/fold.json', import.meta.url), 'utf8')) as {
  cases: Case[];
  refused?: Case[];
};

const queued: WireEvent = { seq: 1, attempt: 0, type: 'queued', at: 1 };
const begun: WireEvent = { seq: 2, attempt: 1, type: 'attempt', at: 2 };

describe('the golden cases', () => {
  it.each(golden.cases.map(each => [each.name, each] as const))('%s', (_, { events, state }) => {
    expect(fold(events)).toEqual(state);
    for (let n = 0; n <= events.length; n++) {
      expect(fold(events.slice(n), fold(events.slice(0, n)))).toEqual(state);
    }
  });
});

describe('fold refuses', () => {
  it.each((golden.refused ?? []).map(each => [each.name, each] as const))('%s', (_, { events }) => {
    expect(() => fold(events)).toThrow();
  });

  it('an event that is not the next one', () => {
    expect(() => fold([queued, { ...begun, seq: 3 }])).toThrow(OutOfOrderError);
    expect(() => fold([queued, queued])).toThrow(IllegalEventError);
  });

  it('an event after an end', () => {
    const ended = fold([queued, { seq: 2, attempt: 0, type: 'cancelled', at: 2 }]);
    expect(hasEnded(ended.status)).toBe(true);
    expect(() => fold([{ seq: 3, attempt: 1, type: 'attempt', at: 3 }], ended)).toThrow(IllegalEventError);
  });

  it('an event without changing the state', () => {
    const before = fold([queued]);
    const copy = structuredClone(before);
    expect(() => fold([queued], before)).toThrow();
    expect(before).toEqual(copy);
    expect(EMPTY_ANSWER.seq).toBe(0);
  });
});

it('a long answer takes linear time', async () => {
  const deltas: WireEvent[] = Array.from({ length: 200_000 }, (_, i) => ({
    seq: i + 3,
    attempt: 1,
    type: 'delta',
    channel: 'text',
    text: 'ten chars '
  }));
  let length = 0;
  const time = await cpuTime(() => {
    ({ length } = fold([queued, begun, ...deltas]).text);
  });
  expect(length).toBe(2_000_000);
  expect(time).toBeLessThan(3000);
});

it('the times are those of the first attempt and of the end', () => {
  const events: WireEvent[] = [
    queued,
    begun,
    { seq: 3, attempt: 1, type: 'waiting', at: 3, until: 5, code: 'rate_limited', message: 'Busy.' },
    { seq: 4, attempt: 2, type: 'attempt', at: 5 },
    { seq: 5, attempt: 2, type: 'cancelled', at: 6 }
  ];
  expect(events.reduce(applyTimes, NO_TIMES)).toEqual({ queued: 1, started: 2, ended: 6 });
});
