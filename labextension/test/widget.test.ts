// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { PAGE_GLOBALS, type PageGlobals } from '../src/views/sharedPage';
import widget from '../src/widget';
import type { BatchFollower } from '../src/wire/liveBatches';
import { batchOf } from './dom';

let tell: BatchFollower;
let following: boolean;
const state: Record<string, unknown> = {};
const send = vi.fn<(content: unknown) => void>();
const model = { get: (name: string) => state[name], send, on: vi.fn(), off: vi.fn() };

beforeEach(() => {
  send.mockReset();
  Object.assign(state, { kind: 'batch', id: 'g', status: 'running' });
  const batches = {
    follow: (_: string, follower: BatchFollower) => {
      [tell, following] = [follower, true];
      follower(null, null);
      return { dispose: () => void (following = false) };
    }
  };
  (globalThis as { [PAGE_GLOBALS]?: PageGlobals })[PAGE_GLOBALS] = { live: {}, batches } as never;
});

afterEach(() => Reflect.deleteProperty(globalThis, PAGE_GLOBALS));

it('a kernel is notified of changes that its page sees first', () => {
  const leave = widget.initialize({ model });
  tell(batchOf({ completed: 1 }), null);
  tell(batchOf({ completed: 3 }), null);
  expect(send.mock.calls).toEqual([[{ type: 'live' }], [{ type: 'look' }]]);
  leave?.();
  expect(following).toBe(false);
});

it('nothing is followed for a kernel that is gone', () => {
  widget.initialize({ model });
  send.mockImplementation(() => {
    throw new Error('Cannot send');
  });
  tell(batchOf({ completed: 3 }), null);
  expect(following).toBe(false);
});
