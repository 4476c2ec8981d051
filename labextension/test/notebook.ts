import { Signal } from '@lumino/signaling';
import { type Mock, vi } from 'vitest';

import { OutputSaver } from '../src/outputs/outputSaver';
import type { BatchFollower } from '../src/wire/liveBatches';
import type { Followed, Follower } from '../src/wire/jobFeed';
import type { Chain } from '../src/wire/retryChains';
import { BUNDLE_MIME, type ImageInfo } from '../src/wire/types';
import { log, state } from './dom';

export type Output = Record<string, unknown> & { data: Record<string, unknown> };

/** As much of a notebook panel as the keeper looks at. */
export class FakePanel {
  constructor(...cells: Output[][]) {
    this.model.cells = cells.map(outputs => ({
      type: 'code',
      sharedModel: {
        transact: (change: () => void) => change(),
        youtputs: {
          get: (i: number) => ({ set: (_: string, data: never) => void (this.shared++, (outputs[i]!.data = data)) }),
          toJSON: () => outputs
        }
      },
      outputs: {
        length: outputs.length,
        get: (i: number) => ({ toJSON: () => outputs[i] }),
        set: (i: number, output: Output) => {
          this.writes++;
          outputs[i] = output;
        }
      }
    }));
  }

  save(): Promise<void> {
    this.saves++;
    this.saveState.emit('started');
    this.model.dirty = false;
    this.saveState.emit('completed');
    return Promise.resolve();
  }

  readonly model = {
    cells: [] as unknown[],
    dirty: false,
    collaborative: false,
    contentChanged: new Signal<object, void>(this)
  };
  readonly saveState = new Signal<object, string>(this);
  readonly disposed = new Signal<object, void>(this);
  readonly contentsModel = { writable: true };
  readonly context = {
    path: 'n.ipynb',
    model: this.model,
    saveState: this.saveState,
    contentsModel: this.contentsModel,
    ready: Promise.resolve(),
    save: () => this.save()
  };
  saves = 0;
  writes = 0;
  /** Writes into the shared document. */
  shared = 0;
}

export const output = (id: string, status: string, markdown: string | string[]): Output => ({
  output_type: 'display_data',
  metadata: {},
  data: {
    [BUNDLE_MIME]: { id, cursor: 'c0', status, model: 'p/m' },
    'text/markdown': markdown,
    'text/plain': 'x',
    'text/html': 'kept'
  }
});

export const begin = [{ type: 'queued' }, { type: 'attempt' }] as const;
export const said = (text: string) => ({ type: 'delta', channel: 'text', text }) as const;
export const running = state(log(...begin, said('Hi <b>')));
export const ended = state(log(...begin, said('Hi <b>'), { type: 'completed', finish_reason: 'stop' }), {
  closed: true
});

export let follows: Map<string, Follower>;
export let keeper: OutputSaver;
export let panel: FakePanel;
export const autosave = { on: true };
export let chains: Map<string, (chain: Chain) => void>;
export let retried: (job: string) => void;

export let mayWrite: Mock<(document: string, job: string) => Promise<boolean>>;

/** A file that is read without a clock. */
export const file = { arrayBuffer: () => Promise.resolve(new TextEncoder().encode('x').buffer) } as Blob;

/** Reads the file of an image. */
export let loadImage: Mock<(job: string, image: ImageInfo) => Promise<Blob>>;

const live = {
  image: (job: string, which: ImageInfo) => loadImage(job, which),
  mayWrite: (document: string, job: string) => mayWrite(document, job),
  follow: (job: string, follower: Follower) => {
    follows.set(job, follower);
    return { dispose: () => void follows.delete(job) };
  }
};

const retries = {
  watch: (job: string, watcher: (chain: Chain) => void) => {
    chains.set(job, watcher);
    return { dispose: () => void chains.delete(job) };
  },
  onRetry: (listener: (job: string) => void) => {
    retried = listener;
    return { dispose: () => undefined };
  }
};

export let followBatch: Map<string, BatchFollower>;
export let retriedBatch: (batch: string) => void;

const batches = {
  follow: (id: string, follower: BatchFollower) => {
    followBatch.set(id, follower);
    return { dispose: () => void followBatch.delete(id) };
  },
  onRetry: (listener: (batch: string) => void) => {
    retriedBatch = listener;
    return { dispose: () => undefined };
  }
};

export const keep = (): OutputSaver =>
  (keeper = new OutputSaver(panel as never, { live, retries, batches, maySave: () => autosave.on }));

/** The server says which jobs ask each other again. */
export const link = (job: string, ...ids: string[]): void =>
  chains.get(job)!(ids.map(id => ({ id, model: 'p/m' })) as never);

export async function open(...cells: Output[][]): Promise<void> {
  panel = new FakePanel(...cells);
  keep();
  await Promise.resolve();
  await Promise.resolve();
}

export const tell = (job: string, followed: Followed): void => follows.get(job)!(followed);

export function setUp(): void {
  vi.useFakeTimers();
  follows = new Map();
  chains = new Map();
  followBatch = new Map();
  mayWrite = vi.fn(() => Promise.resolve(true));
  loadImage = vi.fn(() => Promise.resolve(file));
  autosave.on = true;
}

export function tearDown(): void {
  keeper.dispose();
  vi.useRealTimers();
}
