import { createStandaloneCell, YNotebook, type YCodeCell } from '@jupyter/ydoc';
import { describe, expect, it, vi } from 'vitest';

import type { OutputData } from '../../src/outputs/mimebundle';
import { asInDocument, onLocalChange, writeShared } from '../../src/outputs/saveLease';
import { BATCH_MIME, BUNDLE_MIME, JOBS_MIME } from '../../src/wire/types';

type Output = Record<string, unknown>;

const stream = (text: string): Output => ({ output_type: 'stream', name: 'stdout', text });
const answer = (id: string, status: string): Output => ({
  output_type: 'display_data',
  metadata: {},
  data: { [BUNDLE_MIME]: { id, status, cursor: 'c', model: 'p/m' }, 'text/plain': status }
});
const fresh = (id: string): OutputData => answer(id, 'completed').data as OutputData;

/** A cell whose document has these outputs, as maps or as plain JSON, and whose page has those. */
function cellOf(document: Output[], page: Output[], plain: boolean): { shared: YCodeCell; cell: never } {
  const shared = createStandaloneCell({ cell_type: 'code', source: '' }) as YCodeCell;
  if (plain) {
    (shared.youtputs as unknown as { push(outputs: unknown[]): void }).push(document);
  } else {
    shared.setOutputs(document as never);
  }
  const outputs = {
    length: page.length,
    get: (i: number) => ({ toJSON: () => page[i] }),
    toJSON: () => page
  };
  return { shared, cell: { sharedModel: shared, outputs } as never };
}

/** What a page that has these outputs makes of the changes that it hears of: a new one is always appended. */
function follower(shared: YCodeCell, page: Output[]): Output[] {
  const outputs = [...page];
  shared.changed.connect((_, { outputsChange = [] }) => {
    let at = 0;
    for (const each of outputsChange as { retain?: number; delete?: number; insert?: { toJSON(): Output }[] }[]) {
      at += each.retain ?? 0;
      outputs.splice(at, each.delete ?? 0);
      outputs.push(...(each.insert ?? []).map(output => output.toJSON()));
    }
  });
  return outputs;
}

it('sets the data of an output that is a map, and keeps the others', () => {
  const outputs = [stream('a'), answer('j1', 'running'), answer('j2', 'running')];
  const { shared, cell } = cellOf(outputs, outputs, false);
  const maps = shared.youtputs.toArray() as unknown[];
  writeShared(cell, 1, fresh('j1'));
  expect(shared.getOutputs()).toEqual([stream('a'), answer('j1', 'completed'), answer('j2', 'running')]);
  expect((shared.youtputs.toArray() as unknown[]).every((map, i) => map === maps[i])).toBe(true);
});

it('replaces outputs that are plain JSON, in the order that every page has them', () => {
  const document = [stream('a'), stream('b'), answer('j', 'running'), stream('c')];
  const page = [stream('ab'), answer('j', 'running'), stream('c')];
  const { shared, cell } = cellOf(document, page, true);
  const other = follower(shared, page);
  writeShared(cell, 1, fresh('j'));
  const expected = [stream('ab'), answer('j', 'completed'), stream('c')];
  expect(shared.getOutputs()).toEqual(expected);
  expect(other).toEqual(expected);
});

it('reads an output from the document, even if the page has not taken it over', () => {
  const page = [stream('a'), answer('j', 'running')];
  const { shared, cell } = cellOf(page, page, false);
  const output = { cell, index: 1, data: page[1]!.data as OutputData, jobs: [], batch: null };
  writeShared(cell, 1, fresh('j'));
  expect(asInDocument(output)).toMatchObject({ data: fresh('j'), jobs: [{ id: 'j', status: 'completed' }] });
  shared.setOutputs([]);
  expect(asInDocument(output)).toBe(output);
});

it('writes into the second of two outputs of one job', () => {
  const document = [stream('a'), stream('b'), answer('j', 'running'), answer('j', 'running')];
  const page = [stream('ab'), answer('j', 'running'), answer('j', 'running')];
  const { shared, cell } = cellOf(document, page, false);
  writeShared(cell, 2, fresh('j'));
  expect(shared.getOutputs().slice(2)).toEqual([answer('j', 'running'), answer('j', 'completed')]);
});

it('writes nothing where the document does not have the output', () => {
  const elsewhere = { output_type: 'display_data', metadata: { url: '/api/outputs/1/2/0.output' } };
  const { shared, cell } = cellOf([elsewhere], [answer('j', 'running')], true);
  writeShared(cell, 0, fresh('j'));
  expect(shared.getOutputs()).toEqual([elsewhere]);
});

describe('next to malformed outputs', () => {
  const other = answer('k', 'running');
  const odd: [string, unknown][] = [
    ['an output that is null', null],
    ['an output that is a number', 7],
    ['data that are null', { ...other, data: null }],
    ['data that are a text', { ...other, data: 'x' }],
    ['jobs that are null', { ...other, data: { [JOBS_MIME]: { jobs: [null] }, [BUNDLE_MIME]: 'x', [BATCH_MIME]: 7 } }]
  ];

  it.each(odd)('writes into an output that is plain JSON: %s', (_, neighbour) => {
    const page = [answer('j', 'running')];
    const { shared, cell } = cellOf([neighbour as Output, ...page], page, true);
    writeShared(cell, 0, fresh('j'));
    expect(shared.getOutputs()).toEqual([answer('j', 'completed')]);
  });

  it.each(odd)('writes into an output that is a map: %s', (_, neighbour) => {
    const page = [answer('j', 'running')];
    const { shared, cell } = cellOf(page, page, false);
    (shared.youtputs as unknown as { insert(at: number, outputs: unknown[]): void }).insert(0, [neighbour]);
    writeShared(cell, 0, fresh('j'));
    expect(shared.getOutputs()).toEqual([neighbour, answer('j', 'completed')]);
  });

  it.each([1, 'x', null, {}])('writes into plain JSON with a member "set" that is %j', set => {
    const outputs = [{ ...answer('j', 'running'), set }];
    const { shared, cell } = cellOf(outputs, outputs, true);
    writeShared(cell, 0, fresh('j'));
    expect(shared.getOutputs()).toEqual([{ ...answer('j', 'completed'), set }]);
  });
});

it('reports only changes that this page makes in cells', () => {
  const notebook = new YNotebook();
  const cell = notebook.addCell({ cell_type: 'code', source: '' });
  const listener = vi.fn();
  const listening = onLocalChange(notebook, listener);
  notebook.setMetadata('a', 1);
  expect(listener).not.toHaveBeenCalled();
  cell.setSource('x');
  expect(listener).toHaveBeenCalledOnce();
  listening.dispose();
  cell.setSource('y');
  expect(listener).toHaveBeenCalledOnce();
});
