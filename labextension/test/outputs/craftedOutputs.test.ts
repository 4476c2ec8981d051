// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { batchOf, bundlesOf, type OutputData, textOf, updatedOutput } from '../../src/outputs/mimebundle';
import { BatchView } from '../../src/views/batchView';
import { BATCH_MIME, BUNDLE_MIME, JOBS_MIME } from '../../src/wire/types';
import { cpuTime } from '../cpu';
import { fakeScreen } from '../dom';
import { ended, follows, open, type Output, output, panel, setUp, tearDown, tell } from '../notebook';

const GARBAGE: unknown[] = [undefined, null, 7, 'x', [], {}, true];
const IDS: unknown[] = [...GARBAGE.slice(0, 3), '', '..', 'a/b', 'a,b', 'a b', 'é', '\ud800', 'x'.repeat(100_000), {}];
const GOOD = { id: 'good', cursor: 'c', status: 'running', model: 'p/m' };

const jobs = (value: unknown): OutputData => ({ [JOBS_MIME]: value });

describe('a bundle of a crafted notebook', () => {
  it.each(IDS.map((id, i) => [i, id] as const))('without a valid id (%i) names no job and no batch', (_, id) => {
    expect(bundlesOf({ [BUNDLE_MIME]: { ...GOOD, id } })).toEqual([]);
    expect(bundlesOf(jobs({ jobs: [GOOD, { ...GOOD, id }] }))).toEqual([]);
    expect(batchOf({ [BATCH_MIME]: { id, status: 'completed', title: '', total: 0, counts: {} } })).toBeNull();
  });

  it.each(GARBAGE)('that is %j is ignored', value => {
    expect(bundlesOf({ [BUNDLE_MIME]: value })).toEqual([]);
    expect(bundlesOf(jobs(value))).toEqual([]);
    expect(bundlesOf(jobs({ jobs: [value] }))).toEqual([]);
    expect(batchOf({ [BATCH_MIME]: value })).toBeNull();
  });

  it('with a hundred thousand jobs is ignored', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => ({ ...GOOD, id: `j${i}` }));
    expect(bundlesOf(jobs({ jobs: many }))).toEqual([]);
  });

  it.each(GARBAGE)('with fields %j gets default values', value => {
    const data = jobs({ jobs: [{ id: 'good', cursor: value, status: value, model: value }] });
    const [bundle] = bundlesOf(data);
    expect([bundle!.status, typeof bundle!.cursor, typeof bundle!.model]).toEqual(['queued', 'string', 'string']);
    expect(updatedOutput(data, id => ({ id, cursor: 'c4', answer: ended.answer }))).toMatchObject({
      'text/plain': expect.stringContaining('Hi <b>') as string
    });
  });
});

describe('a batch of a crafted notebook', () => {
  beforeEach(() => fakeScreen());
  afterEach(() => vi.unstubAllGlobals());

  it.each([...GARBAGE, -1, NaN, 1e300, 0.5, '12'])('with numbers %j is drawn', value => {
    const counts = { completed: value, failed: value, cancelled: value, interrupted: value };
    const data = { [BATCH_MIME]: { id: 'g', status: 'constructor', title: [value], total: value, counts } };
    const batch = batchOf(data)!;
    const batches = {
      follow: () => ({ dispose: () => undefined }),
      change: vi.fn(),
      seen: vi.fn()
    };
    const view = new BatchView({ batch: 'g', saved: batch, batches });
    expect(view.node.textContent).not.toMatch(/NaN|undefined|object|-1|300|0\.5/);
    view.dispose();
  });
});

describe('the saver', () => {
  beforeEach(setUp);
  afterEach(tearDown);

  it('saves the other outputs of a notebook with crafted ones', async () => {
    const crafted = output('a,b', 'running', '');
    const several = { ...output('s', 'running', ''), data: jobs({ jobs: [{ id: 's' }, { id: 's', model: {} }] }) };
    await open([crafted, several, output('good', 'running', '')]);
    expect([...follows.keys()]).toEqual(['s', 'good']);
    tell('s', ended);
    tell('good', ended);
    void panel.save();
    expect(panel.writes).toBe(2);
  });

  it('reads each of very many jobs once', async () => {
    const many = (n: number): Output => {
      const named = Array.from({ length: 200 }, (_, i) => ({ ...GOOD, id: `j${n}-${i}` }));
      return { ...output('x', 'running', ''), data: jobs({ jobs: named }) };
    };
    const time = await cpuTime(async () => {
      await open(Array.from({ length: 100 }, (_, n) => many(n)));
      void panel.save();
    });
    expect([follows.size, panel.writes]).toEqual([20_000, 0]);
    expect(time).toBeLessThan(5000);
  });

  const ODD: unknown[] = [[{ toString: 1, valueOf: 1 }], { toString: 1 }, [[['a']], null], 7, [Array(3).fill({})]];

  it.each(ODD.map(text => ({ text })))('also saves an output whose text is $text', async ({ text }) => {
    const crafted = output('odd', 'running', '');
    Object.assign(crafted.data, { 'text/markdown': text, 'text/plain': text });
    await open([crafted, output('good', 'running', '')]);
    tell('odd', ended);
    tell('good', ended);
    void panel.save();
    expect([textOf({ 'text/markdown': text }, 'text/markdown'), panel.writes]).toEqual(['', 2]);
  });
});
