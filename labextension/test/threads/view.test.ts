// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ThreadsModel } from '../../src/threads/threadsModel';
import { ThreadView } from '../../src/threads/threadView';
import type { Follower, News } from '../../src/wire/jobFeed';
import { fakeScreen, frames, log, setVisibility, SlowMarkdown, state } from '../dom';
import { jobOf, modelsOf, refused, saidBy, serverOf, threadOf } from '../threadServer';
import { PROTOCOL } from '../../src/wire/types';

const HOSTILE = '<img src=x onerror="hacked()"><script>hacked()</script>';

let server: ReturnType<typeof serverOf>;
let hear: (news: News) => void;
let model: ThreadsModel;
let view: ThreadView;
let follows: Map<string, Follower>;
let markdown: SlowMarkdown;
let resized: () => void;

const actions = { fork: vi.fn(), rename: vi.fn(), remove: vi.fn() };
const hint: News = { type: 'job', job: 'whichever', status: 'running' };

const $ = (selector: string): HTMLElement => view.node.querySelector<HTMLElement>(selector)!;
const all = (selector: string): HTMLElement[] => [...view.node.querySelectorAll<HTMLElement>(selector)];
const field = (): HTMLTextAreaElement => view.node.querySelector('textarea')!;
const modelField = (): HTMLInputElement => view.node.querySelector('input')!;
const type = (text: string): void => {
  field().value = text;
  field().dispatchEvent(new Event('input'));
};
const press = (node: HTMLElement, key: string, more: KeyboardEventInit = {}): KeyboardEvent => {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more });
  node.dispatchEvent(event);
  return event;
};

async function show(name: string): Promise<void> {
  const source = {
    follow: (job: string, follower: Follower) => {
      follows.set(job, follower);
      return { dispose: () => void follows.delete(job) };
    },
    cancel: vi.fn(() => Promise.resolve()),
    seen: vi.fn()
  };
  const retries = { watch: () => ({ dispose: () => undefined }), retry: vi.fn(() => Promise.resolve()) };
  const context = { source, retries, markdown };
  view = new ThreadView({ conversation: model.open(name), threads: model, context, actions });
  document.body.append(view.node);
  await frames();
}

function has(turns: number): void {
  server.has.threads = [threadOf('trip', { jobs: turns })];
  server.has.said = { trip: [] };
  server.has.jobs = [];
  for (let i = 0; i < turns; i++) {
    server.has.said.trip!.push(...saidBy(`j${i}`, `Question ${i}`, `Answer ${i}`));
    server.has.jobs.unshift(jobOf(`j${i}`, 'completed'));
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  fakeScreen();
  setVisibility('visible');
  vi.stubGlobal(
    'ResizeObserver',
    class {
      constructor(callback: () => void) {
        resized = callback;
      }
      observe(): void {
        // Nothing has a size before the test says so.
      }
      disconnect(): void {
        resized = () => undefined;
      }
    }
  );
  follows = new Map();
  markdown = new SlowMarkdown();
  server = serverOf();
  model = new ThreadsModel(
    {
      listen: listener => {
        hear = listener;
        return { dispose: () => undefined };
      }
    },
    server
  );
  hear({ type: 'hello', version: '0', protocol: PROTOCOL, server: 's' });
});

afterEach(async () => {
  view.dispose();
  model.dispose();
  await frames(1000);
  expect(follows.size).toBe(0);
  vi.useRealTimers();
});

describe('the conversation', () => {
  it('shows questions as typed, and answers live', async () => {
    has(1);
    await show('trip');
    server.has.threads = [threadOf('trip', { jobs: 2, status: 'running' })];
    server.has.said.trip!.push(...saidBy('next', 'Line one\n# line two'));
    server.has.jobs.unshift(jobOf('next', 'running'));
    const first = $('.jp-bgstream-view');
    hear(hint);
    await frames(1000);
    expect(all('.jp-bgstream-words').map(node => node.textContent)).toEqual(['Question 0', 'Line one\n# line two']);
    const events = log({ type: 'queued' }, { type: 'attempt' }, { type: 'delta', channel: 'text', text: 'Stream' });
    follows.get('next')!(state(events));
    await frames();
    expect(all('.jp-bgstream-text').map(node => node.textContent)).toEqual(['Answer 0', 'Stream']);
    expect($('.jp-bgstream-view')).toBe(first); // what is there stays
    expect(all('[data-action=fork-here]').map(({ hidden }) => hidden)).toEqual([false, true]);
    all('[data-action=fork-here]')[0]!.click();
    expect(actions.fork).toHaveBeenCalledWith('trip', 'j0');
  });

  it('names submitters if several users take part, otherwise only the viewer', async () => {
    has(4);
    const roles = (): (string | null)[] => all('.jp-bgstream-said').map(node => node.firstElementChild!.textContent);
    server.has.viewer = 'ada';
    server.has.jobs[3]!.submitted_by = 'ada';
    await show('trip');
    expect(roles()).toEqual(['You', 'You', 'You', 'You']);
    server.has.jobs[2]!.submitted_by = 'bob';
    server.has.jobs[1]!.submitted_by = HOSTILE;
    server.has.threads = [threadOf('trip', { jobs: 4, updated_at: 2 })];
    hear(hint);
    await frames(1000);
    expect(roles()).toEqual(['You', 'bob', HOSTILE, 'Question']);
    expect(all('img, script').length).toBe(0);
    expect(all('.jp-bgstream-role').map(({ dir }) => dir)).toEqual(['auto', 'auto', 'auto', 'auto']);
  });

  it('names the submitter of a turn of the thread that it was forked from', async () => {
    server.has.threads = [threadOf('trip', { forked_from: 'origin' })];
    server.has.said = { trip: [...saidBy('o', 'One?', 'One.'), ...saidBy('again', 'Two?', 'Two.')] };
    server.has.jobs = [
      jobOf('o', 'completed', { thread: 'origin', submitted_by: 'bob' }),
      jobOf('again', 'completed', { thread: 'origin', submitted_by: 'eve', retry_of: 'before' })
    ];
    server.has.viewer = 'ada';
    await show('trip');
    expect(all('.jp-bgstream-role').map(({ textContent }) => textContent)).toEqual(['bob', 'Question']);
  });

  it('shows the tools that were called, and their results', async () => {
    server.has.threads = [threadOf('trip')];
    const calls = [{ id: 'call_a', name: 'weather', arguments: '{"city":"Bern"}' }];
    server.has.said = {
      trip: [
        { role: 'developer', content: 'Be brief.', job: 'a', status: 'running' },
        { role: 'assistant', content: '', tool_calls: calls, job: 'a', status: 'running' },
        { role: 'tool', content: 'rain', job: 'a', status: 'running' }
      ]
    };
    server.has.jobs = [jobOf('a', 'running', { thread: 'trip' })];
    await show('trip');
    expect(all('.jp-bgstream-role').map(({ textContent }) => textContent)).toEqual(['System', 'Answer', 'Tool']);
    expect(all('.jp-bgstream-words').map(({ textContent }) => textContent)).toEqual([
      'Be brief.',
      'weather({"city":"Bern"})',
      'rain'
    ]);
  });

  it('shows hostile names and messages as text', async () => {
    server.has.threads = [threadOf(HOSTILE, { forked_from: HOSTILE, model: HOSTILE })];
    server.has.said = {
      [HOSTILE]: [
        { role: 'system', content: HOSTILE, job: null, status: 'completed' },
        ...saidBy(null, HOSTILE, HOSTILE),
        ...saidBy('b', HOSTILE)
      ]
    };
    server.has.jobs = [jobOf('b', 'failed', { thread: HOSTILE, model: HOSTILE, title: HOSTILE })];
    server.submit.mockRejectedValueOnce(refused(400, 'invalid', HOSTILE));
    server.models.mockResolvedValueOnce(modelsOf({ default: HOSTILE, aliases: { [HOSTILE]: '' } }, HOSTILE));
    await model.readModels();
    await show(HOSTILE);
    type(HOSTILE);
    $('form').dispatchEvent(new Event('submit', { cancelable: true }));
    await frames();
    expect($('h2').textContent).toBe(HOSTILE);
    expect($('[role=alert]').textContent).toBe(HOSTILE);
    expect(all('.jp-bgstream-words').length).toBe(3);
    expect([...new Set(markdown.rendered)]).toEqual([HOSTILE]); // the answer of a deleted job, by the safe renderer
    expect(all('img, script').length).toBe(0);
  });

  it('draws the newest turns, and earlier ones on request', async () => {
    has(70);
    await show('trip');
    expect(all('.jp-bgstream-turn').length).toBe(30);
    expect($('[data-action=show-earlier]').textContent).toBe('Show earlier turns (40)');
    $('[data-action=show-earlier]').click();
    $('[data-action=show-earlier]').click();
    expect(all('.jp-bgstream-words').map(node => node.textContent)).toEqual(
      Array.from({ length: 70 }, (_, i) => `Question ${i}`)
    );
    expect($('[data-action=show-earlier]').hidden).toBe(true);
  });

  it('stays at its end unless the user has scrolled', async () => {
    has(1);
    await show('trip');
    const scroller = $('.jp-bgstream-conversation');
    let height = 1000;
    vi.spyOn(scroller, 'clientHeight', 'get').mockReturnValue(400);
    vi.spyOn(scroller, 'scrollHeight', 'get').mockImplementation(() => height);
    const scroll = (to: number): void => {
      scroller.scrollTop = to;
      scroller.dispatchEvent(new Event('scroll'));
    };
    resized();
    expect(scroller.scrollTop).toBe(1000);
    scroll(600); // what the browser makes of it
    height = 1500;
    scroller.dispatchEvent(new Event('scroll')); // that was late: it has grown meanwhile
    resized();
    expect(scroller.scrollTop).toBe(1500);
    scroll(1100);
    scroll(700);
    expect($('[data-action=newest]').hidden).toBe(false);
    height = 2000;
    resized();
    expect(scroller.scrollTop).toBe(700);
    $('[data-action=newest]').click();
    expect(scroller.scrollTop).toBe(2000);
    expect($('[data-action=newest]').hidden).toBe(true);
  });

  it('reports that it was deleted', async () => {
    has(1);
    await show('trip');
    server.has.jobs = [];
    await model.remove('trip');
    await frames(1000);
    expect($('.jp-bgstream-threadstatus').textContent).toMatch(/^This thread was deleted\./);
    expect(all('.jp-bgstream-turn').length).toBe(0);
    expect($('[data-action=rename]').hidden).toBe(true);
  });
});

describe('the composer', () => {
  it('sends at Ctrl+Enter and not at Enter, and keeps its keys from the page', async () => {
    has(1);
    await show('trip');
    const heard = vi.fn();
    document.body.addEventListener('keydown', heard);
    expect(modelField().value).toBe('p/m');
    type('Go on');
    expect(press(field(), 'Enter').defaultPrevented).toBe(false);
    expect(server.submit).not.toHaveBeenCalled();
    press(field(), 'Enter', { ctrlKey: true, isComposing: true });
    expect(server.submit).not.toHaveBeenCalled();
    press(field(), 'Enter', { metaKey: true });
    expect(server.submit).toHaveBeenCalledTimes(1);
    await frames();
    expect(field().value).toBe('');
    expect(heard).not.toHaveBeenCalled();
    expect(field().closest('[data-lm-suppress-shortcuts]')).not.toBeNull();
    document.body.removeEventListener('keydown', heard);
  });

  it('shows the error of the server and keeps the text', async () => {
    has(1);
    await show('trip');
    server.submit.mockRejectedValueOnce(refused(429, 'queue_full', 'The queue is full.'));
    type('Go on');
    press(field(), 'Enter', { ctrlKey: true });
    await frames();
    expect([$('[role=alert]').textContent, $('[role=alert]').hidden]).toEqual(['The queue is full.', false]);
    expect(field().value).toBe('Go on');
    press(field(), 'Enter', { ctrlKey: true });
    await frames();
    expect($('[role=alert]').hidden).toBe(true);
  });

  it('shows why it cannot send, and still accepts text', async () => {
    has(1);
    await show('trip');
    const button = (): HTMLElement => $('[data-action=send]');
    expect(button().getAttribute('aria-disabled')).toBe('true');
    type('Go on');
    expect(button().getAttribute('aria-disabled')).toBe('false');
    hear({ type: 'offline' });
    expect($('.jp-bgstream-hint').textContent).toMatch(/Reconnecting/);
    expect(field().disabled).toBe(false);
    press(field(), 'Enter', { ctrlKey: true });
    expect(server.submit).not.toHaveBeenCalled();
    expect(field().value).toBe('Go on');
  });

  it('shows how to sign in again, and keeps the text', async () => {
    has(1);
    await show('trip');
    type('Go on');
    hear({ type: 'offline', denial: { code: 'signed_out', message: 'Sign in again: reload this page', since: 1 } });
    expect($('.jp-bgstream-threadstatus').textContent).toBe('Sign in again: reload this page');
    expect($('.jp-bgstream-hint').textContent).toMatch(/^Sign in again: .* in another tab/);
    press(field(), 'Enter', { ctrlKey: true });
    expect(server.submit).not.toHaveBeenCalled();
    expect([field().value, field().disabled]).toEqual(['Go on', false]);
  });

  it('is disabled without permission to write', async () => {
    has(1);
    server.has.mayWrite = false;
    await show('trip');
    expect(field().disabled).toBe(true);
    expect($('.jp-bgstream-hint').textContent).toMatch(/does not let you submit/);
    expect($('[data-action=delete]').hidden).toBe(true);
  });

  it('keeps text and model after its view is closed', async () => {
    has(1);
    await show('trip');
    type('half a sen');
    modelField().value = 'p/n';
    modelField().dispatchEvent(new Event('input'));
    view.dispose();
    await show('trip');
    expect([field().value, modelField().value]).toEqual(['half a sen', 'p/n']);
  });
});
