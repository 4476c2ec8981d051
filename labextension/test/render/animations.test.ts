import { expect, it } from 'vitest';

import { framesPerSecond } from '../../src/render/imageFrameRate';
import { drawProblem } from '../../src/render/imagePixelLimit';

const text = (words: string): number[] => Array.from(words, each => each.charCodeAt(0));
const little = (value: number, bytes = 2): number[] =>
  Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 255);
const big = (value: number, bytes = 4): number[] => little(value, bytes).reverse();
const viewOf = (bytes: number[]): DataView<ArrayBuffer> => new DataView(new Uint8Array(bytes).buffer);

type Make = (width: number, height: number, delays: number[]) => number[];

/** With a table of colours for each frame, and a comment before the first. */
const gif: Make = (width, height, delays) => [
  ...[...text('GIF89a'), ...little(width), ...little(height), 0x80, 0, 0, ...Array<number>(6).fill(0)],
  ...[0x21, 0xfe, 2, 0x2c, 0x2c, 0],
  ...delays.flatMap(ms => [
    ...[0x21, 0xf9, 4, 0, ...little(ms / 10), 0, 0],
    ...[0x2c, 0, 0, 0, 0, ...little(width), ...little(height), 0x80, ...Array<number>(6).fill(0), 2, 2, 0x4c, 1, 0]
  ]),
  0x3b
];
const png: Make = (width, height, delays) => [
  ...[0x89, ...text('PNG\r\n\x1a\n'), ...chunk('IHDR', [...big(width), ...big(height), 8, 2, 0, 0, 0])],
  ...delays.flatMap(ms => [
    ...chunk('fcTL', [...Array<number>(20).fill(0), ...big(ms, 2), ...big(1000, 2), 0, 0]),
    ...chunk('fdAT', [0, 0, 0, 0, 1])
  ]),
  ...chunk('IEND', [])
];
const chunk = (kind: string, data: number[]): number[] => [...big(data.length), ...text(kind), ...data, 0, 0, 0, 0];
const webp: Make = (width, height, delays) => [
  ...[...text('RIFF'), 0, 0, 0, 0, ...text('WEBPVP8X'), ...little(10, 4), 2, 0, 0, 0],
  ...[...little(width - 1, 3), ...little(height - 1, 3)],
  // Of an odd size, after which there is a byte more.
  ...delays.flatMap(ms => [...text('ANMF'), ...little(17, 4), ...Array<number>(12).fill(0), ...little(ms, 3), 0, 0, 0])
];
const MAKES = Object.entries({ gif, png, webp });

it.each(MAKES)('the frames of a %s are counted', (_, make) => {
  expect(framesPerSecond(viewOf(make(9, 9, [20, 20, 60])))).toBe(30);
  expect(framesPerSecond(viewOf(make(9, 9, [20])))).toBe(0);
  expect(framesPerSecond(viewOf(make(9, 9, [])))).toBe(0);
});

it.each(MAKES)('frames of a %s without a duration take a tenth of a second, as in browsers', (_, make) => {
  expect(framesPerSecond(viewOf(make(9, 9, [0, 10])))).toBe(10);
});

it.each(MAKES)('the frames of a truncated %s are counted', (_, make) => {
  const bytes = make(9, 9, [20, 20, 20]);
  for (let end = 0; end < bytes.length; end++) {
    expect([0, 50]).toContain(end < 4 ? 0 : framesPerSecond(viewOf(bytes.slice(0, end))));
  }
});

it.each(MAKES)('a %s with very many pixels a second is not drawn', async (_, make) => {
  const file = (...given: Parameters<Make>): Blob => new Blob([new Uint8Array(make(...given))]);
  const twice = [20, 20];
  expect(await drawProblem(file(1000, 1000, twice))).toBe('');
  expect(await drawProblem(file(7000, 7000, [20]))).toBe('');
  const many = '7,000 × 7,000 pixels in 50 frames a second are too many for this page.';
  expect(await drawProblem(file(7000, 7000, twice))).toBe(many);
});
