import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { BUNDLE_MIME } from '../../src/wire/types';
import { log, state } from '../dom';
import {
  autosave,
  begin,
  chains,
  ended,
  follows,
  keep,
  keeper,
  link,
  open,
  type Output,
  output,
  panel,
  retried,
  running,
  said,
  setUp,
  tearDown,
  tell
} from '../notebook';

beforeEach(setUp);
afterEach(tearDown);

describe('a save', () => {
  it('updates the file once, with raw HTML escaped', async () => {
    const outputs = [output('j', 'running', '*Running…*')];
    await open([{ output_type: 'stream', text: 'x' } as unknown as Output], outputs);
    tell('j', running);
    expect(panel.writes).toBe(0);
    void panel.save();
    expect(outputs[0]!.data).toEqual({
      [BUNDLE_MIME]: { id: 'j', cursor: 'c3', status: 'running', model: 'p/m' },
      'text/markdown': 'Hi &lt;b>\n\n*Running…*',
      'text/plain': 'Hi <b>\n\nRunning… (job j)',
      'text/html': 'kept'
    });
    void panel.save();
    expect([panel.writes, panel.model.dirty]).toEqual([1, false]);
  });

  it('keeps the output of a job that the server does not know', async () => {
    await open([output('j', 'running', 'saved')]);
    tell('j', state([], { trouble: { code: 'not_found', message: 'No.' } }));
    void panel.save();
    expect(panel.writes).toBe(0);
  });

  it('keeps the seen text of a job that was deleted', async () => {
    const outputs = [output('j', 'queued', '*Queued…*')];
    await open(outputs);
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('j', running);
    tell('j', { ...running, trouble: { code: 'not_found', message: 'This job was deleted.' } });
    expect(panel.model.dirty).toBe(true);
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe('Hi &lt;b>\n\n*Cancelled*');
    expect(outputs[0]!.data[BUNDLE_MIME]).toMatchObject({ status: 'cancelled' });
  });
});

it('saves other cells of a shared document after one that cannot be written', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const [bad, good] = [[output('j', 'running', '')], [output('j', 'running', '')]];
  await open(bad, good);
  panel.model.collaborative = true;
  const { sharedModel } = panel.model.cells[0] as { sharedModel: { transact: (change: () => void) => void } };
  const { transact } = sharedModel;
  sharedModel.transact = () => {
    throw new Error('No.');
  };
  tell('j', ended);
  void panel.save();
  await vi.advanceTimersByTimeAsync(100);
  expect([panel.shared, good[0]!.data['text/markdown']]).toEqual([1, 'Hi &lt;b>']);
  expect(warn).toHaveBeenCalledOnce();
  // It is tried again.
  sharedModel.transact = transact;
  void panel.save();
  await vi.advanceTimersByTimeAsync(100);
  expect([panel.shared, bad[0]!.data['text/markdown']]).toEqual([2, 'Hi &lt;b>']);
  warn.mockRestore();
});

describe('a cell that was run here', () => {
  const run = async (): Promise<number> => {
    await open([output('a', 'queued', '')], [output('b', 'queued', '')], []);
    return runAll();
  };
  const runAll = async (): Promise<number> => {
    panel.model.cells.forEach(model => keeper.ran({ model } as never));
    expect(panel.saves).toBe(0);
    await vi.advanceTimersByTimeAsync(1000);
    return panel.saves;
  };

  it('is saved once, together with the cells that run with it', async () => {
    expect(await run()).toBe(1);
  });

  it('is not saved if it has no job', async () => {
    await open([]);
    expect(await runAll()).toBe(0);
  });

  it('is not saved if autosave is off', async () => {
    autosave.on = false;
    expect(await run()).toBe(0);
  });

  it.each(['collaborative', 'read-only'])('is not saved if the notebook is %s', async which => {
    await open([output('a', 'queued', '')]);
    panel.model.collaborative = which === 'collaborative';
    panel.contentsModel.writable = which !== 'read-only';
    expect(await runAll()).toBe(0);
  });
});

describe('a notebook', () => {
  it('is not made dirty when it was only opened', async () => {
    await open([output('j', 'running', ['*Running…*'])]);
    tell('j', running);
    tell('j', ended);
    expect([panel.model.dirty, panel.writes]).toEqual([false, 0]);
  });

  it('is made dirty once, at the end, in the page that ran the cell', async () => {
    await open([output('j', 'running', '')]);
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('j', running);
    expect(panel.model.dirty).toBe(false);
    tell('j', ended);
    expect(panel.model.dirty).toBe(true);
    void panel.save();
    tell('j', { ...ended });
    expect(panel.model.dirty).toBe(false);
  });

  it('is made dirty when the job ended before its cell', async () => {
    await open([output('j', 'queued', '')]);
    tell('j', ended);
    keeper.ran({ model: panel.model.cells[0] } as never);
    expect(panel.model.dirty).toBe(true);
  });

  it('is not made dirty when the file has the whole answer', async () => {
    await open([output('j', 'running', '')]);
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('j', { ...ended, closed: false });
    void panel.save();
    tell('j', ended);
    expect(panel.model.dirty).toBe(false);
  });
});

describe('follows', () => {
  it('exist for jobs that are not complete in the file', async () => {
    await open([output('a', 'completed', 'x'), output('b', 'running', 'x')]);
    expect([...follows.keys()]).toEqual(['b']);
  });

  it('end with the output, and with the notebook', async () => {
    await open([output('a', 'running', 'x')], [output('b', 'running', 'x')]);
    panel.model.cells.pop();
    panel.model.contentChanged.emit();
    vi.advanceTimersByTime(1000);
    expect([...follows.keys()]).toEqual(['a']);
    keeper.dispose();
    expect(follows.size).toBe(0);
  });
});

describe('saves', () => {
  // With two at a time, Lab asks whether to overwrite a change of another user.
  const slow = async (): Promise<{ under: number; most: number; done: (() => void)[] }> => {
    const seen = { under: 0, most: 0, done: [] as (() => void)[] };
    await open([output('j', 'running', '')]);
    keeper.dispose();
    panel.context.save = async () => {
      panel.saves++;
      seen.most = Math.max(seen.most, ++seen.under);
      await new Promise<void>(resolve => seen.done.push(resolve));
      seen.under--;
    };
    keep();
    await vi.advanceTimersByTimeAsync(0);
    return seen;
  };

  it.each(['ours', "a person's"])('do not overlap if %s is the first', async first => {
    const seen = await slow();
    const ours = (): void => keeper.ran({ model: panel.model.cells[0] } as never);
    const theirs = (): void => void panel.context.save();
    for (const begin of first === 'ours' ? [ours, theirs] : [theirs, ours]) {
      begin();
      await vi.advanceTimersByTimeAsync(5000);
    }
    expect(panel.saves).toBe(1);
    seen.done.pop()!();
    await vi.advanceTimersByTimeAsync(0);
    expect([panel.saves, seen.most]).toEqual([2, 1]);
    seen.done.pop()!();
  });

  it('continue after one that failed, and each caller gets the error', async () => {
    await open([output('j', 'running', '')]);
    keeper.dispose();
    const save = vi.fn(() => Promise.reject(new Error('The disk is full.')));
    panel.context.save = save;
    keep();
    const [one, two] = [panel.context.save(), panel.context.save()];
    await expect(one).rejects.toThrow('The disk is full.');
    await expect(two).rejects.toThrow('The disk is full.');
    keeper.dispose();
    expect(panel.context.save).toBe(save);
  });
});

describe('a retried answer', () => {
  it('is saved with its id, and following it does not make the notebook dirty', async () => {
    const outputs = [output('j', 'interrupted', 'Half')];
    await open(outputs);
    expect([...follows.keys()]).toEqual([]);
    link('j', 'j', 'k');
    expect([...follows.keys()]).toEqual(['k']);
    tell('k', ended);
    expect([panel.model.dirty, panel.writes]).toEqual([false, 0]);
    void panel.save();
    expect(outputs[0]!.data).toMatchObject({
      [BUNDLE_MIME]: { id: 'k', cursor: 'c4', status: 'completed', model: 'p/m' },
      'text/markdown': 'Hi &lt;b>'
    });
    // The notebook has another id now: it is looked at again, and nothing more is to be written.
    panel.model.contentChanged.emit();
    vi.advanceTimersByTime(300);
    expect([[...follows.keys()], [...chains.keys()]]).toEqual([[], ['k']]);
    void panel.save();
    expect(panel.writes).toBe(1);
  });

  it('that this page requested makes the notebook dirty once, at its end', async () => {
    await open([output('j', 'interrupted', 'Half')]);
    link('j', 'j', 'k');
    retried('k');
    tell('k', running);
    expect(panel.model.dirty).toBe(false);
    tell('k', ended);
    expect(panel.model.dirty).toBe(true);
    panel.model.dirty = false;
    tell('k', ended);
    expect(panel.model.dirty).toBe(false);
  });

  it('that was saved before its end, with its id, makes the notebook dirty at its end', async () => {
    const outputs = [output('j', 'interrupted', 'Half')];
    await open(outputs);
    link('j', 'j', 'k');
    retried('k');
    tell('k', running);
    void panel.save();
    expect(outputs[0]!.data[BUNDLE_MIME]).toMatchObject({ id: 'k', status: 'running' });
    tell('k', ended); // before the notebook was looked at again
    expect(panel.model.dirty).toBe(true);
  });

  it('of another notebook changes nothing', async () => {
    await open([output('j', 'interrupted', 'Half')]);
    retried('other');
    expect([...follows.keys()]).toEqual([]);
  });

  it('that was deleted leaves the answer before it in the file', async () => {
    const outputs = [output('j', 'interrupted', 'Half')];
    await open(outputs);
    link('j', 'j', 'k');
    tell('k', running);
    link('j', 'j');
    expect([...follows.keys()]).toEqual(['j']);
    void panel.save();
    expect(outputs[0]!.data).toMatchObject({ [BUNDLE_MIME]: { id: 'j' }, 'text/markdown': 'Half' });
  });
});

describe('attempts', () => {
  const waits = { type: 'waiting', until: 9, code: 'server_died', message: 'It died.' } as const;

  it.each([
    ['the text so far while waiting', [...begin, said('One'), waits], 'One\n\n*Waiting…*'],
    ['no text at the beginning of a new one', [...begin, said('One'), waits, { type: 'attempt' }], '*Running…*'],
    [
      'only the text of a new one',
      [...begin, said('One'), waits, { type: 'attempt' }, said('Two')],
      'Two\n\n*Running…*'
    ]
  ] as const)('save %s', async (_, events, markdown) => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    tell('j', state(log(...events)));
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe(markdown);
  });
});
