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
  it('brings the file up to date, once, with raw HTML escaped', async () => {
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

  it('leaves alone what the server does not know', async () => {
    await open([output('j', 'running', 'saved')]);
    tell('j', state([], { trouble: { code: 'not_found', message: 'No.' } }));
    void panel.save();
    expect(panel.writes).toBe(0);
  });

  it('keeps what was seen of a job that was deleted then', async () => {
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

it('of a shared document continues after a cell that cannot be written', async () => {
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

  it('is saved, once with those that run with it', async () => {
    expect(await run()).toBe(1);
  });

  it('is not if there is no job in it', async () => {
    await open([]);
    expect(await runAll()).toBe(0);
  });

  it('is not if the user has switched autosave off', async () => {
    autosave.on = false;
    expect(await run()).toBe(0);
  });

  it.each(['collaborative', 'read-only'])('is not if the notebook is %s', async which => {
    await open([output('a', 'queued', '')]);
    panel.model.collaborative = which === 'collaborative';
    panel.contentsModel.writable = which !== 'read-only';
    expect(await runAll()).toBe(0);
  });
});

describe('dirty', () => {
  it('is never a notebook that was only opened', async () => {
    await open([output('j', 'running', ['*Running…*'])]);
    tell('j', running);
    tell('j', ended);
    expect([panel.model.dirty, panel.writes]).toEqual([false, 0]);
  });

  it('is that of the page that ran the cell, once, at the end', async () => {
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

  it('also where the job ended before the cell had', async () => {
    await open([output('j', 'queued', '')]);
    tell('j', ended);
    keeper.ran({ model: panel.model.cells[0] } as never);
    expect(panel.model.dirty).toBe(true);
  });

  it('not where the file has it all', async () => {
    await open([output('j', 'running', '')]);
    keeper.ran({ model: panel.model.cells[0] } as never);
    tell('j', { ...ended, closed: false });
    void panel.save();
    tell('j', ended);
    expect(panel.model.dirty).toBe(false);
  });
});

describe('follows', () => {
  it('are those of jobs that are not whole in the file', async () => {
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

describe('saves follow each other', () => {
  // Two at a time, and Lab asks whether to overwrite what "somebody else" has changed.
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

  it.each(['ours', "a person's"])('if %s is the first', async first => {
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

  it('also after one that failed, which its caller is informed', async () => {
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

describe('an answer that was asked again', () => {
  it('is what a save writes, with its id, and looking makes nothing dirty', async () => {
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

  it('here makes the notebook dirty at its end, once', async () => {
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

  it('here, saved before its end, is known in the file by its new id', async () => {
    await open([output('j', 'interrupted', 'Half')]);
    link('j', 'j', 'k');
    retried('k');
    tell('k', running);
    void panel.save();
    tell('k', ended); // before the notebook was looked at again
    expect(panel.model.dirty).toBe(true);
  });

  it('for a notebook that does not show it changes nothing', async () => {
    await open([output('j', 'interrupted', 'Half')]);
    retried('other');
    expect([...follows.keys()]).toEqual([]);
  });

  it('and deleted leaves the file with the one before', async () => {
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
    ['while it waits, what was said so far', [...begin, said('One'), waits], 'One\n\n*Waiting…*'],
    ['at the beginning of a new one, nothing', [...begin, said('One'), waits, { type: 'attempt' }], '*Running…*'],
    [
      'in a new one, its own words',
      [...begin, said('One'), waits, { type: 'attempt' }, said('Two')],
      'Two\n\n*Running…*'
    ]
  ] as const)('save, %s', async (_, events, markdown) => {
    const outputs = [output('j', 'running', '')];
    await open(outputs);
    tell('j', state(log(...events)));
    void panel.save();
    expect(outputs[0]!.data['text/markdown']).toBe(markdown);
  });
});
