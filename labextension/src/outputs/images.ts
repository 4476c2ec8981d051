/**
 * Images of an answer in a notebook file: a line about each, and the image unless the file would become too large.
 *
 * The same as `jupyter_bgstream/outputs/images.py`; both run the cases in `tests/golden/bundle.json` and
 * `tests/golden/jobs.json`.
 */

import type { MediaType, ImageInfo } from '../wire/types';
import { wordsMarkdown } from './citations';
import { escapeHtml } from './escapeMarkdown';
import { Fence } from './openCodeBlock';

/** Limit of one image in the file. */
const IMAGE_LIMIT = 2 ** 20; // bytes
/** Limit of all images in an output. */
const OUTPUT_LIMIT = 4 * 2 ** 20; // bytes

const NAMES: Readonly<Record<MediaType, string>> = {
  'image/png': 'PNG',
  'image/jpeg': 'JPEG',
  'image/gif': 'GIF',
  'image/webp': 'WebP'
};
const DATA = String.raw`data:image/(?:png|jpeg|gif|webp);base64,([A-Za-z0-9+/]+={0,2})`;
const SAVED = new RegExp(String.raw`^!\[Picture [0-9]{1,4}\]\(${DATA}\)$`, 'gm');
const LINE = String.raw`Picture [0-9]{1,4}, [A-Za-z]+, [0-9.]+ (?:bytes|kB|MB)`;
const WITH_LINE = new RegExp(String.raw`(?:^|\n\n)(${LINE})\n\n!\[Picture [0-9]{1,4}\]\((${DATA})\)(?=\n\n|\n*$)`, 'g');
const MISSING = ' is not in this file yet.';
const LACKING = new RegExp(`^${LINE},${MISSING.replace('.', '\\.')}$`, 'm');
/** Placeholder of an image while the text around it is escaped. */
const WORD = 'picture';

/** Returns the file of an image in base64, null if it is not loaded. */
export type FileOf = (id: string) => string | null;

/**
 * Images of one output, which share a limit.
 *
 * The whole text of an output is escaped at once, with a short placeholder for each image: escaping its data would cost
 * too much.
 */
export class ImageEmbedder {
  /** Return the paragraphs about a job's images, as input of `written`. */
  markdown(job: string, images: readonly ImageInfo[], file: FileOf): string {
    return images.flatMap((image, index) => this._paragraphs(job, image, index, file(image.id))).join('\n\n');
  }

  /** Return Markdown from a notebook file with placeholders for its images, as input of `written`. */
  lifted(saved: string): string {
    return withoutImageMarks(saved).replace(SAVED, (image, data: string) => {
      const size = Math.floor((data.length * 3) / 4) - (data.length - data.replace(/=+$/, '').length);
      if (size > Math.min(IMAGE_LIMIT, this._left)) {
        return image;
      }
      this._left -= size;
      return this._place(image);
    });
  }

  /** Return escaped Markdown with its images, for a notebook file. */
  written(markdown: string): string {
    if (this._images.length === 0) {
      return escapeHtml(markdown);
    }
    const taken = Math.max(0, ...Array.from(markdown.matchAll(/picturex*/g), ([word]) => word.length));
    const word = WORD + 'x'.repeat(Math.max(0, taken + 1 - WORD.length));
    const images = new Map(this._images.map((image, number) => [`${word}${number}`, image]));
    const marked = this._images.reduce((text, _, n) => text.replaceAll(`\0${n}\0`, `${word}${n}`), markdown);
    const fence = new Fence();
    const lines = escapeHtml(marked)
      .split('\n')
      .map(line => {
        const image = images.get(line);
        fence.follow(line);
        // Data in a code block would be a million characters, not an image.
        return image === undefined ? line : fence.closing === '' ? image : '';
      });
    return lines.join('\n');
  }

  private _paragraphs(job: string, image: ImageInfo, index: number, data: string | null): string[] {
    const line = caption(image);
    if (image.bytes > Math.min(IMAGE_LIMIT, this._left)) {
      const how = `bg.job("${job}").images[${index}].save("picture${fileExtension(image)}")`;
      const why = 'is not in this file, which would become too large. Save it from the live view, or with';
      return [wordsMarkdown(`${line}, ${why} ${how}.`)];
    }
    this._left -= image.bytes;
    if (data === null) {
      return [wordsMarkdown(`${line},${MISSING}`)];
    }
    const embedded = `![Picture ${imageNumber(image)}](data:${image.media_type};base64,${data})`;
    return [wordsMarkdown(line), this._place(embedded)];
  }

  private _place(image: string): string {
    this._images.push(image);
    return `\0${this._images.length - 1}\0`;
  }

  private _left = OUTPUT_LIMIT;
  private readonly _images: string[] = [];
}

/** Return the images of a job whose data a file can contain, if no other job is beside it. */
export function embeddable(images: readonly ImageInfo[]): readonly ImageInfo[] {
  let left = OUTPUT_LIMIT;
  return images.filter(({ bytes }) => {
    const fits = bytes <= Math.min(IMAGE_LIMIT, left);
    left -= fits ? bytes : 0;
    return fits;
  });
}

/** Return whether saved Markdown lacks an image that it could contain. */
export function lacksImages(markdown: string): boolean {
  return LACKING.test(markdown);
}

/** An image of a saved text. */
export interface SavedImage {
  caption: string;
  /** A data URI of one of the four types. */
  source: string;
}

/** Further images stay in the text: a file can contain any number, an answer at most 16. */
const MOST_SAVED = 64;

/** Split a saved text into the text, which is drawn as a model's, and its images. */
export function splitImages(markdown: string): { text: string; images: readonly SavedImage[] } {
  const images: SavedImage[] = [];
  const text = markdown.replace(WITH_LINE, (all, caption: string, source: string) => {
    if (images.length === MOST_SAVED) {
      return all;
    }
    images.push({ caption, source });
    return '';
  });
  return { text, images };
}

/** Return a text without characters that stand for images. */
export function withoutImageMarks(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}

/** Return the caption of an image. */
export function caption(image: ImageInfo): string {
  return `Picture ${imageNumber(image)}, ${NAMES[image.media_type]}, ${formatSize(image.bytes)}`;
}

/** Return the number by which the text names an image. */
export function imageNumber({ id }: ImageInfo): string {
  return id.slice(id.lastIndexOf('-') + 1);
}

/** Return whether an image has a type that browsers draw and that runs no code; a later server may know more types. */
export function isDrawn({ media_type }: ImageInfo): boolean {
  return Object.hasOwn(NAMES, media_type);
}

/** Return the extension of an image file. */
export function fileExtension({ media_type }: ImageInfo): string {
  return media_type === 'image/jpeg' ? '.jpg' : `.${media_type.slice('image/'.length)}`;
}

/** Format a number of bytes, in integers only, because Python and JavaScript round halves differently. */
export function formatSize(size: number): string {
  if (size < 1000) {
    return `${size} bytes`;
  }
  const kilo = Math.floor((size + 50) / 100);
  const [tenths, unit] = kilo < 10_000 ? [kilo, 'kB'] : [Math.floor((size + 50_000) / 100_000), 'MB'];
  return `${Math.floor(tenths / 10)}.${tenths % 10} ${unit}`;
}
