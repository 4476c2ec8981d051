// @vitest-environment jsdom
import { describe, expect, it } from 'vitest';

import type { Followed } from '../../src/wire/jobFeed';
import { frames, log, state } from '../dom';
import { begin, open, retries, retry, source, stop, tell, text, view, words } from './openJobView';

describe('the stop button', () => {
  it('sends one request, and shows that until the end', async () => {
    open();
    tell(state(log(...begin)));
    stop().click();
    stop().click();
    await frames(0);
    expect(source.cancel).toHaveBeenCalledExactlyOnceWith('j1');
    expect(words('state')).toBe('Stopping…');
    tell(state(log(...begin, text('last words'))));
    expect(words('state')).toBe('Stopping…');
    tell(state(log(...begin, { type: 'cancelled' })));
    expect(words('state')).toBe('Stopped');
  });

  it('shows a failed request, and can be used again', async () => {
    source.cancel.mockRejectedValueOnce(new Error('The server cannot be reached.'));
    open();
    tell(state(log(...begin)));
    stop().click();
    await frames(0);
    expect(words('problem')).toContain('Not stopped: The server cannot be reached.');
    expect(stop().textContent).toBe('Stop');
    stop().click();
    expect(source.cancel).toHaveBeenCalledTimes(2);
  });
});

describe('the retry button', () => {
  const cut = (): Followed =>
    state(log(...begin, text('Half'), { type: 'failed', code: 'truncated', message: 'Broken.' }), { closed: true });

  it('sends one request, with the cursor of the seen end', async () => {
    open();
    tell(cut());
    retry().click();
    retry().click();
    expect(words('retry')).toBe('Retrying…');
    await frames(0);
    expect(retries.retry).toHaveBeenCalledExactlyOnceWith('j1', 'c4');
  });

  it('shows a failed request, and can be used again', async () => {
    retries.retry.mockRejectedValueOnce(new Error('The queue is full.'));
    open();
    tell(cut());
    retry().click();
    await frames(0);
    expect(words('problem')).toBe('Not retried: The queue is full. not_retried');
    retry().click();
    await frames(0);
    expect(retries.retry).toHaveBeenCalledTimes(2);
    expect(words('problem')).toBe('Broken. truncated');
  });

  it('gets the focus of the stop button', () => {
    open();
    tell(state(log(...begin)));
    stop().focus();
    tell(state(log(...begin, { type: 'cancelled' })));
    expect(document.activeElement).toBe(retry());
  });

  it('keeps its keys from the notebook', () => {
    open();
    tell(cut());
    const heard: string[] = [];
    view.node.parentElement!.addEventListener('keydown', ({ key }) => heard.push(key));
    retry().dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
    retry().dispatchEvent(new KeyboardEvent('keydown', { key: 's', ctrlKey: true, bubbles: true }));
    expect(heard).toEqual(['s']);
  });

  it('is hidden for a job of another server', () => {
    open({ text: 'saved', status: 'failed' });
    tell(state([], { trouble: { code: 'not_found', message: 'No.' } }));
    expect(retry().hidden).toBe(true);
  });
});
