// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { caption, embeddable, formatSize, ImageEmbedder, lacksImages, splitImages } from '../../src/outputs/images';
import { ImageList } from '../../src/views/imageList';
import { imagesLabel } from '../../src/views/jobLabels';
import type { JobFeed } from '../../src/wire/jobFeed';
import { fold } from '../../src/wire/fold';
import { KernelCalls } from '../../src/wire/kernelCalls';
import type { ImageInfo } from '../../src/wire/types';
import { cpuTime } from '../cpu';
import { log } from '../dom';

const png = (number: number, bytes = 70): ImageInfo => ({ id: `1-${number}`, media_type: 'image/png', bytes });
/** How a PNG of one pixel begins. */
const SMALL = [...[0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82], 0, 0, 0, 1, 0, 0, 0, 1];
/** How a JPEG of very many begins. */
const BOMB = [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 255, 255, 255, 255, 1, 0, 0, 0];
const uri = (bytes: number[]): string => `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
/** A file that is read at once; the blobs of jsdom cannot be read. */
class Whole extends Blob {
  constructor(private readonly _bytes = SMALL) {
    super([new Uint8Array(_bytes)]);
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return Promise.resolve(new Uint8Array(this._bytes).buffer);
  }
}

const settle = (): Promise<void> => new Promise(resolve => setTimeout(resolve));

describe('a list of images', () => {
  const urls = new Map<string, Blob>();
  const load = vi.fn<NonNullable<JobFeed['image']>>();
  let list: ImageList;
  const open = (saved = '', source: Partial<JobFeed> = { image: load }): void => {
    list = new ImageList({ job: 'j1', saved: { text: saved }, source: source as JobFeed });
  };
  const figures = (): HTMLElement[] => [...list.node.querySelectorAll('figure')];
  const words = (): string[] => figures().map(figure => figure.querySelector('figcaption')!.innerText);
  const sources = (): (string | null)[] => figures().map(figure => figure.querySelector('img')!.getAttribute('src'));

  beforeEach(() => {
    urls.clear();
    let last = 0;
    vi.stubGlobal(
      'URL',
      Object.assign(URL, {
        createObjectURL: (blob: Blob) => {
          urls.set(`blob:${++last}`, blob);
          return `blob:${last}`;
        },
        revokeObjectURL: (url: string) => void urls.delete(url)
      })
    );
    Object.defineProperty(HTMLElement.prototype, 'innerText', {
      configurable: true,
      get(this: HTMLElement) {
        return [...this.children].flatMap(each => ((each as HTMLElement).hidden ? [] : each.textContent)).join('|');
      }
    });
    load.mockReset().mockImplementation(() => Promise.resolve(new Whole()));
  });
  afterEach(() => {
    list.dispose();
    vi.unstubAllGlobals();
  });

  it('loads each image once when in sight, and releases them at disposal', async () => {
    open();
    expect(list.node.hidden).toBe(true);
    const two = [png(1), { ...png(2, 12_250), media_type: 'image/webp' as const }];
    list.show({ images: two }, true);
    expect([load.mock.calls.length, list.node.hidden]).toEqual([0, false]);
    list.see(true);
    list.see(false);
    list.see(true);
    await settle();
    expect(load.mock.calls).toEqual(two.map(each => ['j1', each]));
    expect(sources()).toEqual(['blob:1', 'blob:2']);
    expect([...urls.values()].map(({ type }) => type)).toEqual(['image/png', 'image/webp']);
    expect(words()).toEqual(['Picture 1, PNG, 70 bytes||Save', 'Picture 2, WebP, 12.3 kB||Save']);
    const [first] = figures();
    const save = first!.querySelector('a')!;
    expect([save.getAttribute('href'), save.download]).toEqual(['blob:1', 'picture-1.png']);
    expect(first!.querySelector('img')!.alt).toBe('Picture 1, PNG, 70 bytes');
    // A third comes: those that are there stay.
    list.show({ images: [...two, png(3)] }, true);
    await settle();
    expect([figures()[0], load.mock.calls.length]).toEqual([first, 3]);
    list.dispose();
    expect(urls.size).toBe(0);
  });

  it('does not draw an image of very many pixels, but offers to save it', async () => {
    open();
    load.mockResolvedValue(new Whole(BOMB));
    list.see(true);
    list.show({ images: [png(1)] }, true);
    await settle();
    expect(figures()[0]!.dataset.state).toBe('failed');
    const why = 'Not shown: 65,535 × 65,535 pixels are too many for this page.';
    expect([words(), sources()]).toEqual([[`Picture 1, PNG, 70 bytes|${why}|Save`], [null]]);
  });

  it('does not draw a saved image of very many pixels', async () => {
    open(`Picture 1, PNG, 70 bytes\n\n![Picture 1](${uri(BOMB)})`);
    const why = 'Not shown: 65,535 × 65,535 pixels are too many for this page.';
    expect([words(), sources()]).toEqual([[`Picture 1, PNG, 70 bytes|${why}|Save`], [null]]);
    list.see(true);
    list.show({ images: [png(1)] }, true);
    await settle();
    expect([words(), sources()]).toEqual([['Picture 1, PNG, 70 bytes||Save'], ['blob:1']]);
  });

  it('replaces its images at another attempt', async () => {
    open();
    list.see(true);
    list.show({ images: [png(1)] }, true);
    await settle();
    list.show({ images: [] }, true);
    expect([figures().length, list.node.hidden, urls.size]).toEqual([0, true, 0]);
  });

  it('shows why an image failed to load, and loads it again on request or online', async () => {
    open();
    load.mockRejectedValue(new Error('The server cannot be reached.'));
    list.see(true);
    list.show({ images: [png(1)] }, true);
    await settle();
    expect(words()).toEqual(['Picture 1, PNG, 70 bytes|Not shown: The server cannot be reached.|Try again']);
    expect(figures()[0]!.dataset.state).toBe('failed');
    figures()[0]!.querySelector('button')!.click();
    await settle();
    expect(load).toHaveBeenCalledTimes(2);
    load.mockResolvedValue(new Whole());
    const images = [png(1)];
    list.show({ images }, false);
    list.show({ images }, true);
    await settle();
    expect(words()).toEqual(['Picture 1, PNG, 70 bytes||Save']);
  });

  it('does not draw unknown types, and reports images that the browser cannot draw', async () => {
    open();
    list.see(true);
    list.show({ images: [{ ...png(1), media_type: 'image/svg+xml' as never }, png(2)] }, true);
    await settle();
    expect([load.mock.calls.length, sources()[0]]).toEqual([1, null]);
    expect(words()[0]).toContain('Not shown: This page does not know its type.');
    figures()[1]!.querySelector('img')!.dispatchEvent(new Event('error'));
    expect(words()[1]).toBe('Picture 2, PNG, 70 bytes|Not shown: This browser cannot draw it.|Save');
  });

  it('shows saved images until the log and the image are loaded', async () => {
    const data = uri(SMALL);
    open(`Hi.\n\nPicture 1, PNG, 70 bytes\n\n![Picture 1](${data})\n\n*Running…*`);
    expect(list.savedText).toBe('Hi.\n\n*Running…*');
    expect([sources(), words()]).toEqual([[data], ['Picture 1, PNG, 70 bytes||Save']]);
    list.show(null, true);
    list.show({ images: [png(1)] }, true);
    expect(sources()).toEqual([data]);
    load.mockRejectedValueOnce(new Error('The server cannot be reached.'));
    list.see(true);
    await settle();
    const why = 'Shown as saved: The server cannot be reached.';
    expect([sources(), words()]).toEqual([[data], [`Picture 1, PNG, 70 bytes|${why}|Save|Try again`]]);
    figures()[0]!.querySelector('button')!.click();
    await settle();
    expect([sources(), words()]).toEqual([['blob:1'], ['Picture 1, PNG, 70 bytes||Save']]);
  });

  it('asks for a reload when the page is older than this code', async () => {
    open('', {});
    list.see(true);
    list.show({ images: [png(1)] }, true);
    await settle();
    expect(words()[0]).toContain('Not shown: This page is older than the answer. Reload it.');
    list.show({}, true);
    expect(figures()).toEqual([]);
  });
});

describe('a saved text', () => {
  const image = (data: string): string => `Picture 1, PNG, 70 bytes\n\n![Picture 1](${data})`;

  it.each(['data:image/svg+xml;base64,AAAA', 'https://example.org/x.png', 'data:image/png;base64,A"B'])(
    'gives no image of %s',
    source => {
      expect(splitImages(image(source))).toEqual({ text: image(source), images: [] });
    }
  );

  it('gives a limited number of images', () => {
    const { text, images } = splitImages(Array(100).fill(image('data:image/png;base64,AAAA')).join('\n\n'));
    expect([images.length, text.match(/data:/g)?.length]).toEqual([64, 36]);
  });

  it('is split into text and images in linear time', async () => {
    const data = `data:image/png;base64,${'A'.repeat(1_000_000)}`;
    const saved = `${'Picture 1, PNG, 70 bytes\n\n'.repeat(20_000)}${image(data)}\n\n${image(data)}`;
    expect(await cpuTime(() => splitImages(saved))).toBeLessThan(2000);
    const { text, images } = splitImages(saved);
    expect([images.length, text.includes('base64')]).toEqual([2, false]);
    expect(lacksImages('x\n\nPicture 2, WebP, 1.0 MB, is not in this file yet.\n\ny')).toBe(true);
    expect(lacksImages(`x\n\n${image('data:image/png;base64,AAAA')}`)).toBe(false);
  });
});

it('images of an answer are embedded within limits for each and for all', () => {
  const [large, small] = [png(1, 2 ** 20), png(9, 10)];
  expect(embeddable([png(8, 2 ** 20 + 1), large, large, large, small, large, small])).toEqual([
    ...[large, large, large, small],
    small
  ]);
  expect(embeddable([large, large, large, large, small])).toHaveLength(4);
});

it('a caption has the formatted size', () => {
  const sizes = [0, 999, 1000, 1049, 1050, 12_250, 999_949, 999_950, 20_000_000];
  const words = ['0 bytes', '999 bytes', '1.0 kB', '1.0 kB', '1.1 kB', '12.3 kB', '999.9 kB', '1.0 MB', '20.0 MB'];
  expect(sizes.map(formatSize)).toEqual(words);
  expect(caption({ id: '12-3', media_type: 'image/jpeg', bytes: 5 })).toBe('Picture 3, JPEG, 5 bytes');
});

it.each([
  ['(Picture 1: PNG, 70 bytes)', 1, 'stop', 'Done, 1 image'],
  ['\n(Picture 1: PNG, 70 bytes)\n\n(Picture 2 is not kept: it is no picture.)\n', 2, 'stop', 'Done, 2 images'],
  ['Here: (Picture 1: PNG, 70 bytes)', 1, 'stop', null],
  ['(Picture 1: PNG, 70 bytes)', 0, 'stop', null],
  ['(Picture 1: PNG, 70 bytes)', 1, 'length', null]
])('an answer of %j with %i images that ended for %s is labelled %s', (text, count, finish_reason, said) => {
  const images = Array.from({ length: count }, (_, i) => ({ type: 'image' as const, ...png(i + 1) }));
  const delta = { type: 'delta', channel: 'text', text } as const;
  const answer = fold(
    log({ type: 'queued' }, { type: 'attempt' }, delta, ...images, { type: 'completed', finish_reason })
  );
  expect(imagesLabel(answer)).toBe(said);
  expect(imagesLabel({ ...answer, status: 'running' })).toBeNull();
});

describe('a kernel', () => {
  const sent: Record<string, unknown>[] = [];
  let hear: (message: object, buffers?: DataView[]) => void;
  const model = {
    send: (content: unknown) => void sent.push(content as Record<string, unknown>),
    on: (_: string, listener: (...args: never[]) => void) => (hear = listener as typeof hear),
    off: () => undefined
  };
  const piece = (text: string): DataView[] => [new DataView(new TextEncoder().encode(text).buffer)];
  let images: KernelCalls;

  beforeEach(() => {
    sent.length = 0;
    images = new KernelCalls(model);
  });

  it('sends an image in pieces', async () => {
    const file = images.image('j1', png(1));
    const [{ call, ...asked }] = sent as [Record<string, unknown>];
    expect(asked).toEqual({ type: 'image', job: 'j1', image: '1-1' });
    hear({ type: 'piece', call: 'another page' }, piece('x'));
    hear({ type: 'piece', call }, piece('one '));
    hear({ type: 'piece', call }, piece('two'));
    hear({ type: 'done', call });
    expect((await file).size).toBe(7);
  });

  it('reports why it does not send an image', async () => {
    const file = images.image('j1', png(1));
    hear({ type: 'done', call: sent[0]!.call, error: { code: 'not_found', message: 'It is gone.' } });
    await expect(file).rejects.toThrow('It is gone.');
    await expect(images.image('j1', png(1, 2e7))).rejects.toThrow('too large for this page');
    expect(sent).toHaveLength(1);
  });

  it('that is busy is waited for while it sends pieces', async () => {
    vi.useFakeTimers();
    const file = images.image('j1', png(1));
    const refused = expect(file).rejects.toThrow('The kernel is busy.');
    vi.advanceTimersByTime(29_000);
    hear({ type: 'piece', call: sent[0]!.call }, piece('x'));
    vi.advanceTimersByTime(29_000);
    vi.advanceTimersByTime(2000);
    await refused;
    vi.useRealTimers();
  });
});

describe('an output', () => {
  const large = Array.from({ length: 3 }, (_, i) => png(i + 1, 2 ** 20));

  it('has a limit for all answers that are side by side in it', () => {
    const images = new ImageEmbedder();
    const both = ['j1', 'j2'].map(job => images.markdown(job, large, () => 'eA==')).join('\n\n');
    const written = images.written(both);
    expect(written.match(/data:image/g)).toHaveLength(4);
    expect(Array.from(written.matchAll(/images&#91;(\d)/g), ([, index]) => index)).toEqual(['1', '2']);
  });

  it('has no image in the code that costly text becomes', () => {
    const images = new ImageEmbedder();
    const shown = images.markdown('j1', [png(1)], () => 'eA==');
    expect(images.written(`${'*a* '.repeat(200_000)}\n\n${shown}`).split('```')[1]).not.toContain('data:');
  });
});
