// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { JobView } from '../../src/views/jobView';
import type { Followed, Follower } from '../../src/wire/jobFeed';
import { fakeScreen, frames, log, setVisibility, SlowMarkdown, state } from '../dom';

let tell: (state: Followed) => void;
let view: JobView;

const source = {
  follow: (_: string, follower: Follower) => {
    tell = follower;
    return { dispose: () => undefined };
  },
  cancel: () => Promise.resolve(),
  seen: () => undefined
};

const begin = [{ type: 'queued' }, { type: 'attempt' }] as const;
const text = (text: string) => ({ type: 'delta', channel: 'text', text }) as const;
const reasoning = (text: string) => ({ type: 'delta', channel: 'reasoning', text }) as const;
const call = { type: 'tool_call', id: 'c', name: 'look', arguments: '{}' } as const;

function open(): void {
  const [before, retries] = [document.createElement('div'), { retry: () => Promise.resolve() }];
  view = new JobView({ job: 'j1', model: 'p/m', saved: null, before, source, retries, markdown: new SlowMarkdown() });
  document.body.append(view.node);
}

const words = (name: string): string => view.node.querySelector(`.jp-bgstream-${name}`)!.textContent;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 0, 0, 10) });
  fakeScreen();
  setVisibility('visible');
});

afterEach(async () => {
  view.dispose();
  await frames(1000); // the scheduler is shared by all tests: it must not wait for a frame that never comes
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('parts of an answer', () => {
  it('reasoning is folded', () => {
    open();
    tell(state(log(...begin, { type: 'delta', channel: 'reasoning', text: 'Let me ' })));
    tell(state(log(...begin, { type: 'delta', channel: 'reasoning', text: 'Let me think' })));
    const details = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-reasoning')!;
    expect([details.hidden, details.open, details.textContent]).toEqual([false, false, 'ReasoningLet me think']);
  });

  it('sources are links only for http and https', () => {
    open();
    tell(
      state(
        log(
          ...begin,
          { type: 'source', url: 'https://example.org/', title: 'Example' },
          { type: 'source', url: 'javascript:alert(1)', title: 'Bad' }
        )
      )
    );
    const items = [...view.node.querySelectorAll('.jp-bgstream-source')];
    expect(items.map(item => item.textContent)).toEqual(['Example example.org', 'Bad']);
    const links = items.map(item => item.querySelector('a'));
    expect(links.map(link => link?.href)).toEqual(['https://example.org/', undefined]);
    expect(links[0]).toMatchObject({ target: '_blank', rel: 'noopener noreferrer nofollow' });
    const cited = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-cited')!;
    expect([cited.hidden, cited.open, words('cited .jp-bgstream-summary')]).toEqual([false, true, '2 citations']);
  });

  it('a source shows its host with any title', () => {
    open();
    const sources = [
      ['https://www.xn--exmple-cua.org:8080/a?b', 'https://bank.example'],
      ['https://example.org/\u202egpj.exe', ''],
      ['https://', 'nowhere'],
      ['https://a b/', 'not an address']
    ] as const;
    tell(state(log(...begin, ...sources.map(([url, title]) => ({ type: 'source', url, title }) as const))));
    const items = [...view.node.querySelectorAll('.jp-bgstream-source')];
    expect(items.map(item => item.querySelector('.jp-bgstream-host')?.textContent)).toEqual([
      'www.xn--exmple-cua.org:8080',
      undefined,
      undefined,
      undefined
    ]);
    expect(items.map(item => item.querySelector('a') !== null)).toEqual([true, true, false, false]);
  });

  it('many sources are folded, and stay as the reader leaves them', () => {
    open();
    const source = (n: number) => ({ type: 'source', url: `https://example.org/${n}`, title: '' }) as const;
    const cited = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-cited')!;
    expect(cited.hidden).toBe(true);
    const many = Array.from({ length: 9 }, (_, n) => source(n));
    tell(state(log(...begin, ...many)));
    expect(cited.open).toBe(false);
    cited.open = true;
    tell(state(log(...begin, ...many, source(9))));
    expect([cited.open, words('cited .jp-bgstream-summary')]).toEqual([true, '10 citations']);
  });

  it.each([
    ['length', 'The answer was cut off at the limit of tokens.'],
    ['content_filter', 'The answer was cut off by the content filter of the provider.'],
    ['refusal', 'The model declined to answer.'],
    ['tool_calls', 'The model asks for tools. None was called.'],
    ['other', 'The answer ended for a reason that the provider does not explain.'],
    ['constructor', 'The answer ended for another reason: constructor.'],
    ['stop', '']
  ])('the reason of the end is shown for %s', (finish_reason, said) => {
    open();
    const ending = view.node.querySelector<HTMLElement>('.jp-bgstream-ending')!;
    tell(state(log(...begin, text('Hi'))));
    expect(ending.hidden).toBe(true);
    tell(state(log(...begin, text('Hi'), { type: 'completed', finish_reason })));
    expect([ending.hidden, ending.textContent]).toEqual([said === '', said]);
  });

  it.each([
    [text(''), 'The answer has no text: the provider ended it before the first word.', true],
    [text('\n\n'), 'The answer has no text: the provider ended it before the first word.', true],
    [reasoning('So it is 42.'), 'The answer has no text: the model only reasoned. Retry, or raise max_tokens.', true],
    [call, 'The answer has no text, only tool calls.', true],
    [text('42'), '', false]
  ])('a missing text is explained, with the reasoning opened', (event, words, opened) => {
    open();
    tell(state(log(...begin, event, { type: 'completed', finish_reason: 'stop' })));
    const ending = view.node.querySelector<HTMLElement>('.jp-bgstream-ending')!;
    const reasoned = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-reasoning')!;
    expect([ending.textContent, reasoned.open]).toEqual([words, opened]);
    reasoned.open = false;
    tell(state(log(...begin, event, { type: 'completed', finish_reason: 'stop' })));
    expect(reasoned.open).toBe(false);
  });

  it('the cost of all attempts is shown with its origin', () => {
    open();
    expect(words('cost')).toBe('');
    const cost = view.node.querySelector<HTMLElement>('.jp-bgstream-cost')!;
    const usage = { type: 'usage', output_tokens: 9, cost: 0.0012 } as const;
    tell(state(log(...begin, usage)));
    expect([cost.textContent, cost.title]).toEqual(['$0.0012', 'The cost that the provider reported.']);
    tell(state(log(...begin, usage, { type: 'attempt' }, { ...usage, cost_estimated: true })));
    expect(cost.textContent).toBe('≈ $0.0024');
    expect(cost.title).toBe('An estimate by list prices: the provider may bill another amount.');
  });

  it('arguments of a tool are indented and shown as text', () => {
    open();
    const call = { type: 'tool_call', id: '1', name: '<img src=x>', arguments: '{"city":"<b>Bern</b>"}' } as const;
    tell(state(log(...begin, call)));
    const tool = view.node.querySelector<HTMLDetailsElement>('.jp-bgstream-tool')!;
    expect([tool.open, words('tool .jp-bgstream-summary')]).toEqual([false, 'Asks for the tool <img src=x>']);
    expect(words('arguments')).toBe('{\n  "city": "<b>Bern</b>"\n}');
    expect(tool.querySelectorAll('img, b')).toHaveLength(0);
  });

  it('tools and earlier attempts are folded', () => {
    open();
    tell(
      state(
        log(
          ...begin,
          text('First'),
          { type: 'waiting', until: 1, code: 'x', message: 'y' },
          { type: 'attempt' },
          text('Second'),
          {
            type: 'tool_call',
            id: '1',
            name: 'weather',
            arguments: '<b>{}</b>'
          }
        )
      )
    );
    expect(words('try')).toBe('Attempt 2');
    expect(words('attempt')).toBe('Text of attempt 1');
    expect(words('tool')).toBe('Asks for the tool weather<b>{}</b>');
  });
});
