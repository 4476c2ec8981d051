/**
 * Images for a page that cannot reach the server: a kernel sends them in chunks, as custom messages with buffers
 * (see `jupyter_bgstream/client/image_relay.py`).
 */

import { trans } from '../translation';
import type { Disposable } from './jobFeed';
import type { ImageInfo } from './types';

/** The part of a widget's model that is used here. */
interface Messages {
  send(content: unknown): void;
  on(name: string, listener: (...args: never[]) => void): void;
  off(name: string, listener: (...args: never[]) => void): void;
}

interface Message {
  type: string;
  call: string;
  error?: { message: string };
}

/** A larger image would block a kernel's messages for too long. */
const LIMIT = 10 * 2 ** 20; // bytes
const PATIENCE = 30_000; // ms of silence until the kernel counts as busy

export class KernelImages implements Disposable {
  constructor(private readonly _model: Messages) {
    _model.on('msg:custom', this._hear);
  }

  dispose(): void {
    this._model.off('msg:custom', this._hear);
  }

  /** Request an image's file. */
  load(job: string, { id: image, bytes }: ImageInfo): Promise<Blob> {
    if (bytes > LIMIT) {
      const how = `bg.job("${job}").images, or open the job in JupyterLab`;
      return Promise.reject(new Error(trans.__('It is too large for this page. Use %1.', how)));
    }
    const call = `${Date.now()}-${Math.random()}`; // other pages have calls of their own
    return new Promise((resolve, reject) => {
      const pieces: DataView<ArrayBuffer>[] = [];
      let left = bytes;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const over = (end: () => void): void => {
        clearTimeout(timer);
        this._calls.delete(call);
        end();
      };
      const wait = (): void => {
        clearTimeout(timer);
        const busy = new Error(trans.__('The kernel is busy.'));
        timer = setTimeout(() => over(() => reject(busy)), PATIENCE);
      };
      this._calls.set(call, ({ type, error }, buffers) => {
        if (type === 'piece') {
          pieces.push(...buffers);
          left -= buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
          if (left < 0) {
            over(() => reject(new Error(trans.__('It has more bytes than announced.'))));
          } else {
            wait();
          }
        } else {
          over(() => (error === undefined ? resolve(new Blob(pieces)) : reject(new Error(error.message))));
        }
      });
      wait();
      try {
        this._model.send({ type: 'image', job, image, call });
      } catch {
        over(() => reject(new Error(trans.__('The kernel that showed this is gone. Run the cell again.'))));
      }
    });
  }

  private readonly _hear = (message: Message, buffers: DataView<ArrayBuffer>[]): void => {
    this._calls.get(message.call)?.(message, buffers);
  };

  private readonly _calls = new Map<string, (message: Message, buffers: DataView<ArrayBuffer>[]) => void>();
}
