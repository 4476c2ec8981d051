/** Frame rates of animated image files: GIF, animated PNG, and WebP. */

/** Browsers show a frame of 10 ms or less for 100 ms. */
const SHORTEST = 11; // ms
const INSTEAD = 100; // ms

/** Return the frames per second of an image; 0 if it is not animated. */
export function framesPerSecond(file: DataView): number {
  let frames = 0;
  let ms = 0;
  try {
    for (const each of durations(file)) {
      frames++;
      ms += each < SHORTEST ? INSTEAD : each;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
    // The file is cut. Browsers show the frames before the cut.
  }
  return frames > 1 ? (1000 * frames) / ms : 0;
}

/** Return the duration of each frame in ms. The iterator throws RangeError if the file is cut. */
function durations(file: DataView): Iterable<number> {
  switch (file.getUint32(0)) {
    case 0x89504e47: // PNG
      return durationsOfPng(file);
    case 0x47494638: // GIF8
      return durationsOfGif(file);
    case 0x52494646: // RIFF
      return durationsOfWebp(file);
    default:
      return [];
  }
}

function* durationsOfPng(file: DataView): Iterable<number> {
  for (let at = 8; at < file.byteLength; at += 12 + file.getUint32(at)) {
    if (file.getUint32(at + 4) === 0x6663544c) {
      // fcTL
      yield (1000 * file.getUint16(at + 28)) / (file.getUint16(at + 30) || 100);
    }
  }
}

function* durationsOfGif(file: DataView): Iterable<number> {
  let ms = 0;
  for (let at = 13 + coloursOfGif(file.getUint8(10)); ; at = endOfBlocks(file, at)) {
    const kind = file.getUint8(at);
    if (kind === 0x21) {
      // An extension; that of the next frame has its delay.
      ms = file.getUint8(at + 1) === 0xf9 ? 10 * file.getUint16(at + 4, true) : ms;
      at += 2;
    } else if (kind === 0x2c) {
      yield ms;
      ms = 0;
      at += 11 + coloursOfGif(file.getUint8(at + 9));
    } else {
      return;
    }
  }
}

/** Return the size of a colour table in bytes. */
export function coloursOfGif(flags: number): number {
  return flags & 0x80 ? 3 * (2 << (flags & 7)) : 0;
}

/** Return the end of a GIF's data blocks, of which the last is empty. */
export function endOfBlocks(file: DataView, at: number): number {
  while (file.getUint8(at) > 0) {
    at += 1 + file.getUint8(at);
  }
  return at + 1;
}

function* durationsOfWebp(file: DataView): Iterable<number> {
  for (let at = 12; at < file.byteLength;) {
    if (file.getUint32(at) === 0x414e4d46) {
      // ANMF: 24 bits after the frame's place and size
      yield file.getUint32(at + 20, true) & 0xffffff;
    }
    const size = file.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
}
