// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import type { Followed } from '../../src/wire/jobFeed';
import { frames, log, setVisibility, state } from '../dom';
import { begin, done, open, screen, source, tell, text } from './openJobView';

describe('the seen message', () => {
  const ended = (): Followed => state(log(...begin, text('Hi'), done), { closed: true });

  it('is sent once, when the end is drawn on the screen of a visible page', async () => {
    open();
    screen.intersect(true);
    tell(ended());
    expect(source.seen).not.toHaveBeenCalled(); // not yet drawn
    await frames();
    expect(source.seen).toHaveBeenCalledExactlyOnceWith('j1', 'c4');
    tell(ended());
    setVisibility('visible');
    await frames();
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('is not sent from a hidden page', async () => {
    setVisibility('hidden');
    open();
    screen.intersect(true);
    tell(ended());
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
    setVisibility('visible');
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('is not sent for an end below the fold', async () => {
    open();
    screen.intersect(false);
    tell(ended());
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
    screen.intersect(true);
    expect(source.seen).toHaveBeenCalledOnce();
  });

  it('is not sent before the end', async () => {
    open();
    screen.intersect(true);
    tell(state(log(...begin, text('Hi'))));
    await frames();
    expect(source.seen).not.toHaveBeenCalled();
  });
});
