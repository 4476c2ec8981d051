/** Images of a job for its notebook file, loaded in advance because a save cannot wait for them. */

import type { LoadImage } from '../views/imageList';
import type { ImageInfo } from '../wire/types';
import { embeddable } from './images';

export class FileImages {
  /** @param settled is called when all requested images are loaded or have failed. */
  constructor(
    private readonly _load: LoadImage,
    private readonly _settled: () => void
  ) {}

  /** Whether no image is being loaded. */
  get isSettled(): boolean {
    return this._coming === 0;
  }

  /** Return the file of an image in base64, null if it is not loaded. */
  file(id: string): string | null {
    return this._files.get(id) ?? null;
  }

  /** Load those of these images that a file may contain, each once. */
  take(images: readonly ImageInfo[]): void {
    for (const image of embeddable(images)) {
      if (!this._asked.has(image.id)) {
        this._asked.add(image.id);
        this._coming++;
        void this._read(image);
      }
    }
  }

  private async _read(image: ImageInfo): Promise<void> {
    try {
      this._files.set(image.id, await base64Of(await this._load(image)));
    } catch (error) {
      console.warn('jupyter_bgstream: an image is not in the notebook yet', error); // the file has a note, too
    }
    this._coming--;
    if (this.isSettled) {
      this._settled();
    }
  }

  private readonly _files = new Map<string, string>();
  private readonly _asked = new Set<string>();
  private _coming = 0;
}

async function base64Of(file: Blob): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = '';
  // In parts: the number of arguments of a function is limited.
  for (let at = 0; at < bytes.length; at += 32_768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
  }
  return btoa(text);
}
