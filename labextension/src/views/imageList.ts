/**
 * The images of an answer, below its text. Each is a file of this server with a pixel format, which contains no code,
 * and never an address from the answer.
 */

import { caption, fileExtension, imageNumber, isDrawn, splitImages } from '../outputs/images';
import { element, setText } from '../render/dom';
import { drawProblem, drawProblemOfUri } from '../render/imagePixelLimit';
import { trans } from '../translation';
import type { JobFeed } from '../wire/jobFeed';
import type { Answer } from '../wire/fold';
import type { ImageInfo } from '../wire/types';

/** Loads an image's file; rejects with the reason. */
export type LoadImage = (image: ImageInfo) => Promise<Blob>;

export interface ImageListOptions {
  job: string;
  /** The answer in the notebook's file; its images are shown until the log arrives. */
  saved: { text: string } | null;
  source: JobFeed;
}

export class ImageList {
  readonly node = element('div', 'images');
  /** The saved text without its images, which is drawn like a model's text. */
  readonly savedText: string;

  constructor({ job, saved, source }: ImageListOptions) {
    // A page's live connection may be older than this code, if a widget contains this code.
    this._load = image =>
      source.image?.(job, image) ??
      Promise.reject(new Error(trans.__('This page is older than the answer. Reload it.')));
    const { text, images } = splitImages(saved?.text ?? '');
    this.savedText = text;
    this._figures = images.map(({ caption, source }) => new Figure(caption, null, source));
    this._place();
  }

  dispose(): void {
    this._figures.forEach(figure => figure.dispose());
    this.node.remove();
  }

  /** Show an answer's images. Failed ones are loaded again when the page is online again. */
  show(answer: { images?: Answer['images'] } | null, online: boolean): void {
    const isBack = online && !this._online;
    this._online = online;
    if (answer !== null && answer.images !== this._images) {
      this._images = answer.images;
      this._change(answer.images ?? []);
    } else if (isBack) {
      this._loadThem();
    }
  }

  /** Load the images as soon as they are visible. */
  see(inSight: boolean): void {
    if (inSight !== this._inSight) {
      this._inSight = inSight;
      this._loadThem();
    }
  }

  private _change(images: readonly ImageInfo[]): void {
    const before = this._figures;
    this._figures = images.map(image => {
      const same = before.find(({ id }) => id === image.id);
      const saved = before.find(each => each.id === null && each.caption === caption(image));
      return same ?? new Figure(caption(image), image, saved?.source ?? '');
    });
    before.filter(figure => !this._figures.includes(figure)).forEach(figure => figure.dispose());
    this._place();
    this._loadThem();
  }

  private _loadThem(): void {
    if (this._inSight) {
      this._figures.forEach(figure => void figure.load(this._load));
    }
  }

  private _place(): void {
    this.node.replaceChildren(...this._figures.map(({ node }) => node));
    this.node.hidden = this._figures.length === 0;
  }

  private readonly _load: LoadImage;
  private _figures: readonly Figure[];
  private _images: readonly ImageInfo[] | undefined;
  private _inSight = false;
  private _online = true;
}

class Figure {
  readonly node = element('figure', 'image');

  /** @param source is shown until the file is loaded. */
  constructor(
    readonly caption: string,
    private readonly _image: ImageInfo | null,
    source: string
  ) {
    this._name.textContent = caption;
    this._save.download = _image === null ? 'picture' : `picture-${imageNumber(_image)}${fileExtension(_image)}`;
    this._save.hidden = this._again.hidden = true;
    this._again.type = 'button';
    this._pixels.alt = caption;
    this._pixels.addEventListener('load', () => this._turn('shown'));
    this._pixels.addEventListener('error', () => this._fail(trans.__('This browser cannot draw it.')));
    this.node.dataset.state = 'loading';
    this.node.dataset.image = _image?.id ?? '';
    const words = element('figcaption', 'caption', this._name, this._reason, this._save, this._again);
    this.node.append(this._pixels, words);
    if (source !== '') {
      this._draw(source, drawProblemOfUri(source));
    }
  }

  get id(): string | null {
    return this._image?.id ?? null;
  }

  get source(): string {
    return this._pixels.getAttribute('src') ?? '';
  }

  dispose(): void {
    this._disposed = true;
    URL.revokeObjectURL(this._url);
    this.node.remove();
  }

  async load(load: LoadImage): Promise<void> {
    const image = this._image;
    if (image === null || this._url !== '' || this._loading) {
      return;
    }
    this._again.onclick = () => void this.load(load);
    this._loading = true;
    this._again.hidden = true;
    setText(this._reason, '');
    try {
      if (!isDrawn(image)) {
        throw new Error(trans.__('This page does not know its type.'));
      }
      const file = await load(image);
      const why = await drawProblem(file);
      if (!this._disposed) {
        this._url = URL.createObjectURL(new Blob([file], { type: image.media_type }));
        this._draw(this._url, why);
      }
    } catch (error) {
      this._fail((error as Error).message);
      this._again.hidden = false;
    }
    this._loading = false;
  }

  /** @param why is the reason why it can only be saved. */
  private _draw(source: string, why = ''): void {
    this._save.href = source;
    this._save.hidden = false;
    if (why === '') {
      this._pixels.src = source;
    } else {
      this._pixels.removeAttribute('src');
      this._fail(why);
    }
  }

  private _turn(state: 'shown' | 'failed'): void {
    this.node.dataset.state = state;
  }

  private _fail(reason: string): void {
    const isSaved = this._url === '' && this.source !== '';
    setText(this._reason, isSaved ? trans.__('Shown as saved: %1', reason) : trans.__('Not shown: %1', reason));
    if (!isSaved) {
      this._turn('failed');
    }
  }

  private readonly _pixels = element('img', 'pixels');
  private readonly _name = element('span', 'called');
  private readonly _reason = element('span', 'reason');
  private readonly _save = element('a', 'save', trans.__('Save'));
  private readonly _again = element('button', 'again', trans.__('Try again'));
  private _url = '';
  private _loading = false;
  private _disposed = false;
}
