/**
 * Calls of a page that cannot reach the server: a kernel answers them with custom messages, when no cell runs.
 *
 * An image comes in pieces, as buffers (see `jupyter_bgstream/client/image_relay.py`).
 */

import { trans } from '../translation';
import type { Disposable } from './jobFeed';
import type { ErrorInfo, ImageInfo, JobInfo } from './types';

/** A widget's model, as anywidget gives it. */
export interface Model {
  get(name: string): unknown;
  send(content: unknown): void;
  on(name: string, listener: (...args: never[]) => void): void;
  off(name: string, listener: (...args: never[]) => void): void;
}

interface Message {
  type: string;
  call: string;
  job?: JobInfo;
  error?: ErrorInfo;
}

type Pieces = DataView<ArrayBuffer>[];

/** A larger image would block a kernel's messages for too long. */
const LIMIT = 10 * 2 ** 20; // bytes

export class KernelCalls implements Disposable {
  constructor(private readonly _model: Omit<Model, 'get'>) {
    _model.on('msg:custom', this._hear);
  }

  dispose(): void {
    this._model.off('msg:custom', this._hear);
  }

  /** Request a change. Rejects if it is refused, and after a long silence, although it may still be executed. */
  async change(type: string, what: Record<string, string>): Promise<JobInfo | null> {
    const busy = 'the kernel is busy, and will do it as soon as it is free.';
    const gone = 'the kernel that showed this is gone. Run the cell again.';
    const { job } = await this._call({ type, ...what }, 3000, busy, gone);
    return job ?? null;
  }

  /** Request an image's file. */
  async image(job: string, { id: image, bytes }: ImageInfo): Promise<Blob> {
    if (bytes > LIMIT) {
      const how = `bg.job("${job}").images, or open the job in JupyterLab`;
      throw new Error(trans.__('It is too large for this page. Use %1.', how));
    }
    const gone = trans.__('The kernel that showed this is gone. Run the cell again.');
    const message = { type: 'image', job, image };
    const { pieces } = await this._call(message, 30_000, trans.__('The kernel is busy.'), gone, bytes);
    return new Blob(pieces);
  }

  /**
   * @param patience is the silence in milliseconds until the kernel counts as `busy`.
   * @param left is the number of bytes in the pieces of the answer.
   */
  private _call(
    message: Record<string, string>,
    patience: number,
    busy: string,
    gone: string,
    left = 0
  ): Promise<Message & { pieces: Pieces }> {
    const call = `${Date.now()}-${Math.random()}`; // other pages have calls of their own
    return new Promise((resolve, reject) => {
      const pieces: Pieces = [];
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = (): void => {
        clearTimeout(timer);
        this._calls.delete(call);
      };
      const fail = (why: string): void => {
        end();
        reject(new Error(why));
      };
      const wait = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => fail(busy), patience);
      };
      this._calls.set(call, (answer, buffers) => {
        if (answer.error !== undefined) {
          fail(answer.error.message);
        } else if (answer.type !== 'piece') {
          end();
          resolve({ ...answer, pieces });
        } else {
          pieces.push(...buffers);
          left -= buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
          wait();
          if (left < 0) {
            fail(trans.__('It has more bytes than announced.'));
          }
        }
      });
      wait();
      try {
        this._model.send({ ...message, call });
      } catch {
        fail(gone);
      }
    });
  }

  private readonly _hear = (message: Message, buffers: Pieces): void => {
    this._calls.get(message.call)?.(message, buffers);
  };

  private readonly _calls = new Map<string, (answer: Message, buffers: Pieces) => void>();
}
