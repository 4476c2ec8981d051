import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { BATCH_MIME, BUNDLE_MIME, JOBS_MIME } from '../../src/wire/types';
import { batchOf, log, state } from '../dom';
import {
  begin,
  ended,
  file,
  followBatch,
  follows,
  keeper,
  mayWrite,
  open,
  type Output,
  output,
  panel,
  loadImage,
  retriedBatch,
  running,
  said,
  setUp,
  tearDown,
  tell
} from '../notebook';

beforeEach(setUp);
afterEach(tearDown);

describe('an image', () => {
  const image = { type: 'image', id: '1-1', media_type: 'image/png', bytes: 70 } as const;
  const drawn = log(...begin, said('Here.'), image, { type: 'completed', finish_reason: 'stop' });
  const line = 'Picture 1, PNG, 70 bytes';
  const whole = `Here.\n\n${line}\n\n![Picture 1](data:image/png;base64,eA==)`;
  const missing = `Here.\n\n${line}, is not in this file yet.`;
  const come = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

  it('is saved once it is loaded, and makes the notebook that ran the cell dirty', async () => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('j', state(drawn, { closed: true }));
    expect(panel.model.dirty).toBe(false);
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe(missing);
    await come();
    expect(panel.model.dirty).toBe(true);
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe(whole);
    expect(loadImage).toHaveBeenCalledOnce();
  });

  it('that failed to load is loaded again when the notebook is opened again', async () => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    keeper.ran({ model: panel.model.cells[0] } as never);
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    loadImage.mockRejectedValue(new Error('No.'));
    tell('j', state(drawn, { closed: true }));
    await come();
    expect([panel.model.dirty, warn.mock.calls.length]).toEqual([true, 1]);
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe(missing);
    keeper.dispose();
    loadImage.mockResolvedValue(file);
    await open(outputs);
    tell('j', state(drawn, { closed: true }));
    await come();
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe(whole);
    keeper.dispose();
    await open(outputs);
    expect(follows.size).toBe(0);
    warn.mockRestore();
  });

  it('that is too large is not loaded', async () => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    tell('j', state(log(...begin, { ...image, bytes: 2 ** 20 + 1 })));
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toMatch(/which would become too large/);
    expect(loadImage).not.toHaveBeenCalled();
  });

  it('is written into a shared document with the end', async () => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    panel.model.collaborative = true;
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('j', running);
    tell('j', state(drawn, { closed: true }));
    await come();
    await vi.advanceTimersByTimeAsync(100);
    expect(outputs[0]!.data['text/markdown']).toBe(whole);
    expect(panel.shared).toBe(1);
  });
});

describe('jobs side by side', () => {
  const pair = (...jobs: [id: string, status: string][]): Output => ({
    output_type: 'display_data',
    metadata: {},
    data: {
      [JOBS_MIME]: { jobs: jobs.map(([id, status]) => ({ id, cursor: 'c0', status, model: `p/${id}` })) },
      'text/markdown': jobs.map(([id]) => `#### p/${id}\n\nSaved ${id}`).join('\n\n'),
      'text/plain': jobs.map(([id]) => `p/${id}:\n\nSaved ${id}`).join('\n\n')
    }
  });

  it('are all followed while one of them continues, and written together', async () => {
    const outputs = [pair(['a', 'completed'], ['b', 'running'])];
    await open(outputs, [pair(['c', 'completed'], ['d', 'failed'])]);
    expect([...follows.keys()]).toEqual(['a', 'b']);
    tell('a', ended);
    tell('b', running);
    void panel.save();
    expect(panel.writes).toBe(1);
    expect(outputs[0]!.data).toMatchObject({
      [JOBS_MIME]: {
        jobs: [
          { id: 'a', cursor: 'c4', status: 'completed' },
          { id: 'b', cursor: 'c3', status: 'running' }
        ]
      },
      'text/markdown': '#### p/a\n\nHi &lt;b>\n\n#### p/b\n\nHi &lt;b>\n\n*Running…*'
    });
  });

  it('keep the saved text of a job that the server does not know', async () => {
    const outputs = [pair(['a', 'running'], ['b', 'running'], ['c', 'running'])];
    await open(outputs);
    tell('a', ended);
    tell('b', state([], { trouble: { code: 'not_found', message: 'No.' } }));
    tell('c', ended);
    void panel.save();
    expect(outputs[0]!.data).toMatchObject({
      [JOBS_MIME]: { jobs: [{ status: 'completed' }, { status: 'running', cursor: 'c0' }, { status: 'completed' }] },
      'text/markdown': '#### p/a\n\nHi &lt;b>\n\n#### p/b\n\nSaved b\n\n#### p/c\n\nHi &lt;b>',
      'text/plain': 'p/a:\n\nHi <b>\n\np/b:\n\nSaved b\n\np/c:\n\nHi <b>'
    });
  });

  it('stay unchanged where that text cannot be separated from the others', async () => {
    const output = pair(['a', 'running'], ['b', 'running']);
    output.data['text/markdown'] = '#### p/a\n\nIt says:\n\n#### p/b\n\nSo.\n\n#### p/b\n\nSaved b';
    await open([output]);
    tell('a', ended);
    void panel.save();
    expect(panel.writes).toBe(0);
  });

  it('make the notebook that ran them dirty at each end', async () => {
    await open([pair(['a', 'queued'], ['b', 'queued'])]);
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('a', ended);
    expect(panel.model.dirty).toBe(true);
    panel.model.dirty = false;
    tell('b', ended);
    expect(panel.model.dirty).toBe(true);
  });
});

describe('a batch', () => {
  const batch = (status: string, completed: number): Output => ({
    output_type: 'display_data',
    metadata: {},
    data: {
      [BATCH_MIME]: {
        id: 'g',
        status,
        title: 'T',
        total: 3,
        counts: { completed, failed: 0, cancelled: 0, interrupted: 0 }
      },
      'text/markdown': `T: ${completed} of 3 answered, running…`,
      'text/plain': `T: ${completed} of 3 answered, running…`
    }
  });

  it('is updated at a save, and its end makes the notebook that ran it dirty', async () => {
    const outputs = [batch('running', 0)];
    await open(outputs);
    keeper.ran({ model: panel.model.cells[0] } as never);
    followBatch.get('g')!(batchOf({ completed: 1 }), null);
    expect(panel.model.dirty).toBe(false);
    void panel.save();
    expect(outputs[0]!.data['text/plain']).toBe('T: 1 of 3 answered, running…');
    followBatch.get('g')!(batchOf({ completed: 2, failed: 1 }), null);
    expect(panel.model.dirty).toBe(true);
    void panel.save();
    expect(outputs[0]!.data).toMatchObject({
      [BATCH_MIME]: { id: 'g', status: 'failed', total: 3, counts: { completed: 2, failed: 1 } },
      'text/markdown': 'T: 2 of 3 answered, 1 failed'
    });
    void panel.save();
    expect(panel.writes).toBe(2);
    followBatch.get('g')!(batchOf({ completed: 2 }), null);
    retriedBatch('g');
    followBatch.get('g')!(batchOf({ completed: 3 }), null);
    expect(panel.model.dirty).toBe(true);
  });

  it('that was only opened does not make the notebook dirty', async () => {
    await open([batch('running', 0)]);
    followBatch.get('g')!(batchOf({ completed: 3 }), null);
    expect([panel.model.dirty, panel.writes]).toEqual([false, 0]);
  });
});

describe('in a shared document', () => {
  const shared = async (): Promise<Output[]> => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    panel.model.collaborative = true;
    return outputs;
  };
  const late = { ...ended, times: { ...ended.times, ended: Date.now() / 1000 + 10 } };

  it('only the end is written, by the page that the server elects', async () => {
    const outputs = await shared();
    tell('j', running);
    void panel.save();
    await vi.advanceTimersByTimeAsync(100);
    expect(mayWrite).not.toHaveBeenCalled();
    tell('j', late);
    await vi.advanceTimersByTimeAsync(100);
    expect(mayWrite.mock.calls).toEqual([['n.ipynb', 'j']]);
    expect([panel.shared, panel.writes, panel.model.dirty]).toEqual([1, 0, false]);
    expect(outputs[0]!.data['text/markdown']).toBe('Hi &lt;b>');
  });

  it('a page that is not elected writes only if the elected one does not', async () => {
    mayWrite.mockResolvedValue(false);
    const outputs = await shared();
    tell('j', running);
    tell('j', late);
    await vi.advanceTimersByTimeAsync(1000);
    expect(panel.shared).toBe(0);
    mayWrite.mockResolvedValue(true);
    await vi.advanceTimersByTimeAsync(2000);
    expect([panel.shared, mayWrite.mock.calls.length]).toEqual([1, 2]);
    expect(outputs[0]!.data['text/markdown']).toBe('Hi &lt;b>');
  });

  it('an output that another page has written is not written again', async () => {
    mayWrite.mockResolvedValue(false);
    const outputs = await shared();
    tell('j', running);
    tell('j', late);
    await vi.advanceTimersByTimeAsync(1000);
    const bundle = { id: 'j', cursor: 'c4', status: 'completed', model: 'p/m' };
    outputs[0]!.data = { ...outputs[0]!.data, [BUNDLE_MIME]: bundle, 'text/markdown': 'Hi &lt;b>' };
    await vi.advanceTimersByTimeAsync(600_000);
    expect([panel.shared, mayWrite.mock.calls.length]).toEqual([0, 1]);
  });

  it('a batch is also written at its end', async () => {
    const data = {
      [BATCH_MIME]: { id: 'g', status: 'queued', title: 'T', total: 3, counts: batchOf({}).counts },
      'text/plain': ''
    };
    const outputs: Output[] = [{ output_type: 'display_data', data }];
    await open(outputs);
    panel.model.collaborative = true;
    followBatch.get('g')!(batchOf({ completed: 1 }), null);
    await vi.advanceTimersByTimeAsync(100);
    expect(panel.shared).toBe(0);
    followBatch.get('g')!(batchOf({ completed: 3 }), null);
    await vi.advanceTimersByTimeAsync(100);
    expect([panel.shared, outputs[0]!.data['text/plain']]).toEqual([1, 'T: 3 of 3 answered']);
  });

  it('a job that ended before the notebook was opened is written at a save', async () => {
    await shared();
    tell('j', running); // the beginning of a long log
    tell('j', ended);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(mayWrite).not.toHaveBeenCalled();
    void panel.save();
    await vi.advanceTimersByTimeAsync(100);
    expect(panel.shared).toBe(1);
  });
});
