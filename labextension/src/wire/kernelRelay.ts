/**
 * Feeds jobs and batches from a kernel, for a page that cannot reach the server.
 *
 * The kernel writes what it reads into the widget's state, as `log_0`, `log_1`, … in JSON; `log` is their number (see
 * `jupyter_bgstream/client/widgets/job.py`). To the rest of this code it looks like the live socket and like the
 * server's records. Requests go to the kernel as messages, which it receives when no cell runs.
 */

import { trans } from '../translation';
import type { BatchFeed, BatchFollower, BatchVerb } from './liveBatches';
import type { Disposable } from './jobFeed';
import { KernelCalls, type Model } from './kernelCalls';
import { Live } from './liveJobs';
import { RetryChains } from './retryChains';
import { type BatchInfo, type ErrorInfo, type JobInfo, PROTOCOL, type ServerFrame } from './types';

type Entry = Extract<ServerFrame, { type: 'events' | 'reset' | 'error' }> | { type: 'jobs'; jobs: JobInfo[] };

/** Send a message to a kernel that may be gone: then a comm throws. Return whether it was sent. */
export function sendToKernel(model: Model, content: unknown): boolean {
  try {
    model.send(content);
    return true;
  } catch {
    return false;
  }
}

const BEAT = 20_000; // ms; a socket that is silent for longer counts as lost

/** Call back at each change of the state, and with true when the kernel may be gone: any change proves the contrary. */
function watchKernel(model: Model, listener: (suspect: boolean) => void): Disposable {
  const hear = (): void => listener(false);
  const doubt = (): void => listener(true);
  model.on('change', hear);
  model.on('comm_live_update', doubt);
  return {
    dispose: () => {
      model.off('change', hear);
      model.off('comm_live_update', doubt);
    }
  };
}

/** A batch as the kernel relays it: its form is the widget's state. */
export class KernelBatch implements BatchFeed, Disposable {
  constructor(private readonly _model: Model) {
    this._calls = new KernelCalls(_model);
  }

  dispose(): void {
    this._calls.dispose();
  }

  follow(_: string, follower: BatchFollower): Disposable {
    const tell = (suspect: boolean): void => {
      const offline = suspect || this._model.get('connection') === 'offline';
      const trouble = offline ? { code: 'offline', message: trans.__('Reconnecting…') } : this._model.get('error');
      follower(this._model.get('group') as BatchInfo | null, trouble as ErrorInfo | null);
    };
    tell(false);
    return watchKernel(this._model, tell);
  }

  async change(batch: string, verb: BatchVerb): Promise<void> {
    await this._calls.change(verb, { batch });
  }

  seen(): void {
    // The server does not know this page's viewers.
  }

  private readonly _calls: KernelCalls;
}

export class KernelFeed implements Disposable {
  readonly live: Live;
  readonly retries: RetryChains;

  constructor(private readonly _model: Model) {
    this._calls = new KernelCalls(_model);
    const connect = (): WebSocket => this._connect();
    this.live = new Live({
      url: () => 'kernel',
      // Called with `new`, which returns the object that the function returns.
      WebSocket: function () {
        return connect();
      } as unknown as new (url: string) => WebSocket,
      cancel: job => this._calls.change('cancel', { job }),
      image: (job, image) => this._calls.image(job, image)
    });
    this.retries = new RetryChains(this.live, {
      jobs: (_, { ids }) => Promise.resolve({ jobs: ids.split(',').flatMap(id => this._records.get(id) ?? []) }),
      retry: async job => this._record(await this._calls.change('retry', { job }))
    });
    this._watching = watchKernel(_model, suspect => this._update(suspect));
    this._update(false);
    sendToKernel(_model, { type: 'relay', have: this._next });
  }

  dispose(): void {
    this._watching.dispose();
    this._calls.dispose();
    clearInterval(this._beat);
    this.retries.dispose();
    this.live.dispose();
  }

  private _connect(): WebSocket {
    const socket: Socket = {
      onmessage: null,
      onclose: null,
      send: data => this._obey(JSON.parse(data) as { type: string; job: string }),
      close: () => {
        if (this._socket === socket) {
          this._socket = null;
        }
      }
    };
    this._socket = socket;
    clearInterval(this._beat);
    this._beat = setInterval(() => this._say({ type: 'beat' }), BEAT);
    queueMicrotask(() => this._greet());
    return socket as unknown as WebSocket;
  }

  private _greet(): void {
    this._followed.clear();
    if (this._online) {
      this._say({ type: 'hello', version: '', protocol: PROTOCOL, server: 'kernel' });
    }
  }

  private _obey({ type, job }: { type: string; job: string }): void {
    if (type === 'unfollow') {
      this._followed.delete(job);
    } else if (type === 'follow') {
      const socket = this._socket;
      queueMicrotask(() => {
        if (this._socket !== socket) {
          return;
        }
        this._followed.add(job);
        const known = this._logs.get(job);
        if (known === undefined) {
          sendToKernel(this._model, { type: 'follow', job });
        }
        known?.forEach(entry => this._say(entry));
      });
    }
  }

  private _read(): void {
    for (let entry = this._entry(); entry !== undefined; entry = this._entry()) {
      this._next++;
      this._take(entry);
    }
    if (this._next < Number(this._model.get('log') ?? 0)) {
      sendToKernel(this._model, { type: 'relay', have: this._next }); // an entry was lost
    }
  }

  private _entry(): Entry | undefined {
    const entry = this._model.get(`log_${this._next}`);
    return typeof entry === 'string' ? (JSON.parse(entry) as Entry) : undefined;
  }

  private _take(entry: Entry): void {
    if (entry.type === 'jobs') {
      entry.jobs.forEach(job => this._record(job));
      entry.jobs.forEach(({ id, status }) => this._say({ type: 'job', job: id, status }));
      return;
    }
    const job = entry.job ?? '';
    if (entry.type === 'reset') {
      this._logs.delete(job); // earlier entries are of another log
    } else {
      const log = this._logs.get(job);
      if (log === undefined) {
        this._logs.set(job, [entry]);
      } else {
        log.push(entry);
      }
    }
    if (this._followed.has(job)) {
      this._say(entry);
    }
  }

  private _record(job: JobInfo | null): JobInfo {
    if (job === null) {
      throw new Error('the kernel did not say which job.');
    }
    this._records.set(job.id, job);
    return job;
  }

  private _update(suspect: boolean): void {
    if (!suspect) {
      this._read();
    }
    const online = !suspect && this._model.get('connection') !== 'offline';
    if (online !== this._online) {
      this._online = online;
      if (online) {
        this._greet();
      } else {
        this._socket?.onclose?.();
      }
    }
  }

  private _say(frame: ServerFrame): void {
    this._socket?.onmessage?.({ data: JSON.stringify(frame) });
  }

  private readonly _calls: KernelCalls;
  private readonly _watching: Disposable;
  private _socket: Socket | null = null;
  private _beat: ReturnType<typeof setInterval> | undefined;
  /** Entries that were read. */
  private _next = 0;
  private _online = true;
  private readonly _followed = new Set<string>();
  /** The events of each job, to be repeated when it is followed again. */
  private readonly _logs = new Map<string, ServerFrame[]>();
  private readonly _records = new Map<string, JobInfo>();
}

/** As much of a WebSocket as the live side uses. */
interface Socket {
  onmessage: ((message: { data: string }) => void) | null;
  onclose: (() => void) | null;
  send(data: string): void;
  close(): void;
}
