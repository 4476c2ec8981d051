import { expect, it } from 'vitest';

import { drawProblem, drawProblemOfUri } from '../../src/render/imagePixelLimit';

const word = (value: number): number[] => [value >> 8, value & 255];
const little = (value: number): number[] => [value & 255, value >> 8];
const long = (value: number): number[] => [...word(value >>> 16), ...word(value & 0xffff)];
const text = (words: string): number[] => Array.from(words, each => each.charCodeAt(0));
const file = (...bytes: number[]): Blob => new Blob([new Uint8Array(bytes)]);

const png = (width: number, height: number): Blob =>
  file(0x89, ...text('PNG\r\n\x1a\n'), ...long(13), ...text('IHDR'), ...long(width), ...long(height));
const gif = (width: number, height: number): Blob => file(...screen(width, height), ...frame(0, 0, width, height));
/** With a table of two colours, and an extension of two blocks. */
const screen = (width: number, height: number): number[] => [
  ...[...text('GIF89a'), ...little(width), ...little(height), 0x80, 0, 0, 0, 0, 0, 255, 255, 255],
  ...[0x21, 0xf9, 2, 0x2c, 0x2c, 1, 0x2c, 0]
];
const frame = (...place: [left: number, top: number, width: number, height: number]): number[] => [
  ...[0x2c, ...place.flatMap(little), 0]
];
const sof = (width: number, height: number): number[] => [
  ...[0xff, 0xc2, ...word(11), 8, ...word(height), ...word(width), 1, 0, 0, 0]
];
const jpeg = (width: number, height: number): Blob =>
  file(
    ...[0xff, 0xd8, 0xff, 0xe0, ...word(16), ...Array<number>(14).fill(0)],
    ...[0xff, 0xff, 0xdb, ...word(4), 0, 0], // a filler before a table
    ...sof(width, height)
  );
const riff = (kind: string, ...rest: number[]): Blob =>
  file(...text('RIFF'), 0, 0, 0, 0, ...text('WEBP'), ...text(kind), 0, 0, 0, 0, ...rest);
const vp8 = (width: number, height: number): Blob =>
  riff('VP8 ', 0, 0, 0, 0x9d, 1, 0x2a, ...little(width), ...little(height));
const vp8l = (width: number, height: number): Blob => {
  const bits = (width - 1) | ((height - 1) << 14);
  return riff('VP8L', 0x2f, bits & 255, (bits >>> 8) & 255, (bits >>> 16) & 255, (bits >>> 24) & 255);
};
const three = (value: number): number[] => [value & 255, (value >> 8) & 255, value >> 16];
const vp8x = (width: number, height: number): Blob =>
  riff('VP8X', 0, 0, 0, 0, ...three(width - 1), ...three(height - 1));

it.each(Object.entries({ png, gif, jpeg, vp8, vp8l, vp8x }))('the size is read from a header: %s', async (_, make) => {
  expect(await drawProblem(make(1024, 768))).toBe('');
  expect(await drawProblem(make(10_000, 5000))).toBe('');
  expect(await drawProblem(make(10_001, 5000))).toBe('10,001 × 5,000 pixels are too many for this page.');
});

const MANY = '65,000 × 65,000 pixels are too many for this page.';
const app = file(0xff, 0xe5, ...word(65_002), ...Array<number>(65_000).fill(0));

it.each([
  ['bytes between its segments', file(0xff, 0xd8, 0, 1, 2, ...sof(65_000, 65_000))],
  ['marks that have no segment', file(0xff, 0xd8, 0xff, 0, 0xff, 0xd0, 0xff, 1, ...sof(65_000, 65_000))],
  ['much before its size', new Blob([file(0xff, 0xd8), ...Array<Blob>(5).fill(app), file(...sof(65_000, 65_000))])],
  ['a frame larger than its screen', file(...screen(1, 1), ...frame(0, 0, 65_000, 65_000))],
  ['a frame beside its screen', file(...screen(1, 1), ...frame(64_999, 64_999, 1, 1))]
])('the size is that of a browser for an image with %s', async (_, blob) => {
  expect(await drawProblem(blob)).toBe(MANY);
});

it('the size is read from a data URI', () => {
  const uri = (...bytes: number[]): string => `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
  expect(drawProblemOfUri(uri(0xff, 0xd8, ...sof(10, 10)))).toBe('');
  expect(drawProblemOfUri(uri(0xff, 0xd8, ...sof(65_000, 65_000)))).toBe(MANY);
  expect(drawProblemOfUri(uri(...text('BM')))).toBe(UNKNOWN);
  expect(drawProblemOfUri('data:image/png;base64,A')).toBe(UNKNOWN);
});

const UNKNOWN = 'This page cannot tell how many pixels it has.';

it.each([
  ['an empty file', file()],
  ['half a header', png(1, 1).slice(0, 18)],
  ['a JPEG without a frame', file(0xff, 0xd8, 0xff, 0xda, 0, 0)],
  ['a JPEG of nonsense', file(0xff, 0xd8, ...Array<number>(500).fill(0))],
  ['a JPEG of fillers', file(0xff, 0xd8, ...Array<number>(60_000).fill(0xff))],
  ['a GIF without a frame', file(...screen(1, 1))],
  ['another WebP', riff('JUNK')],
  ['a text', file(...text('<svg onload=alert(1)>'))],
  ['a bitmap', file(...text('BM'), ...Array<number>(60).fill(0))]
])('%s has no known size and is not drawn', async (_, blob) => {
  expect(await drawProblem(blob)).toBe(UNKNOWN);
});
