/**
 * Reads the number of pixels of an image from its file. A small file may have very many pixels, and a browser needs 4
 * bytes of memory for each when it draws the image.
 */

import { trans } from '../translation';
import { coloursOfGif, endOfBlocks, framesPerSecond } from './imageFrameRate';

/** An image with more is not drawn: 50 million take 200 MB. An animation draws at most as many a second. */
const MOST = 50_000_000;

/** Return why an image must not be drawn; empty if it may be. */
export async function drawProblem(file: Blob): Promise<string> {
  return whyNot(await file.arrayBuffer());
}

/** The same for a data URI in base64, synchronously. */
export function drawProblemOfUri(uri: string): string {
  try {
    return whyNot(Uint8Array.from(atob(uri.slice(uri.indexOf(',') + 1)), each => each.charCodeAt(0)).buffer);
  } catch {
    return unknownSize(); // it is no base64
  }
}

function whyNot(file: ArrayBuffer): string {
  const view = new DataView(file);
  const size = sizeOf(view);
  if (size === null) {
    return unknownSize(); // browsers draw more types than these four, and do not look at the name
  }
  const [width, height] = [size.width.toLocaleString('en'), size.height.toLocaleString('en')];
  if (size.width * size.height > MOST) {
    return trans.__('%1 × %2 pixels are too many for this page.', width, height);
  }
  const frames = framesPerSecond(view);
  return size.width * size.height * frames > MOST
    ? trans.__('%1 × %2 pixels in %3 frames a second are too many for this page.', width, height, Math.round(frames))
    : '';
}

interface Size {
  width: number;
  height: number;
}

/** Return the number of pixels; null if the file does not contain it. */
function sizeOf(file: DataView): Size | null {
  try {
    switch (file.getUint32(0)) {
      case 0x89504e47: // PNG
        return { width: file.getUint32(16), height: file.getUint32(20) };
      case 0x47494638: // GIF8
        return sizeOfGif(file);
      case 0x52494646: // RIFF
        return sizeOfWebp(file);
      default:
        return file.getUint16(0) === 0xffd8 ? sizeOfJpeg(file) : null;
    }
  } catch {
    return null; // the file ends before its size
  }
}

function unknownSize(): string {
  return trans.__('This page cannot tell how many pixels it has.');
}

/** A browser enlarges the screen that the header names until the first frame fits into it. */
function sizeOfGif(file: DataView): Size {
  let at = 13 + coloursOfGif(file.getUint8(10));
  while (file.getUint8(at) === 0x21) {
    at = endOfBlocks(file, at + 2); // an extension
  }
  const [screenWidth, screenHeight, left, top, width, height] = [6, 8, at + 1, at + 3, at + 5, at + 7].map(each =>
    file.getUint16(each, true)
  ) as [number, number, number, number, number, number];
  return { width: Math.max(screenWidth, left + width), height: Math.max(screenHeight, top + height) };
}

function sizeOfWebp(file: DataView): Size | null {
  switch (file.getUint32(12)) {
    case 0x56503858: // VP8X: 24 bits each, less one
      return { width: 1 + (file.getUint32(24, true) & 0xffffff), height: 1 + (file.getUint32(26, true) >>> 8) };
    case 0x5650384c: {
      // VP8L: 14 bits each, less one
      const bits = file.getUint32(21, true);
      return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
    }
    case 0x56503820: // VP8
      return { width: file.getUint16(26, true) & 0x3fff, height: file.getUint16(28, true) & 0x3fff };
    default:
      return null;
  }
}

/** A preview or a profile may come before the size, and browsers pass over what is between two segments. */
function sizeOfJpeg(file: DataView): Size | null {
  for (let at = 2; ;) {
    while (file.getUint8(at) !== 0xff) {
      at++;
    }
    while (file.getUint8(at) === 0xff) {
      at++;
    }
    const marker = file.getUint8(at++);
    // C0 to CF are frames, but for C4, C8 and CC.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: file.getUint16(at + 5), height: file.getUint16(at + 3) };
    }
    if (marker === 0xd8 || marker === 0xd9 || marker === 0xda) {
      return null; // its data, or its end
    }
    const isAlone = marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    at += isAlone ? 0 : file.getUint16(at);
  }
}
