// @vitest-environment jsdom
import { afterEach, expect, it } from 'vitest';

import { endReason } from '../src/outputs/endReason';
import { english, setTranslation, type Trans, trans } from '../src/translation';
import { formatDuration } from '../src/views/format';
import { stateLabel, tokenLabel } from '../src/views/jobLabels';
import { errorMessage } from '../src/views/errorMessages';
import { EMPTY_ANSWER } from '../src/wire/fold';

/** German for some sentences, and English for the others. */
const WORDS: Record<string, string> = {
  Done: 'Fertig',
  '%1 min %2 s': '%1 Min. %2 s',
  '%2 token': '%2 Token',
  '%2 tokens': '%2 Tokens',
  'The model declined to answer.': 'Das Modell hat nicht geantwortet.',
  'The provider cannot be reached.': 'Der Anbieter ist nicht erreichbar.'
};
const german: Trans = {
  __: (text, ...values) => english.__(WORDS[text] ?? text, ...values),
  _n: (one, many, count, ...values) => english._n(WORDS[one] ?? one, WORDS[many] ?? many, count, ...values)
};

afterEach(() => setTranslation(english));

it('fills in values, and the count of a plural', () => {
  expect(trans.__('%2 of %1: 5 %', 'a%2', 'b')).toBe('b of a%2: 5 %');
  expect([1, 2].map(count => trans._n('%1 job of %2', '%1 jobs of %2', count, 9))).toEqual([
    '1 job of 9',
    '2 jobs of 9'
  ]);
});

it('labels follow the language of the page', () => {
  const labels = (): string[] => [
    stateLabel('completed', 'stop'),
    stateLabel('running', null),
    formatDuration(65),
    tokenLabel({ output_tokens: 1234 } as never)
  ];
  expect(labels()).toEqual(['Done', 'Running', '1 min 5 s', '1,234 tokens']);
  setTranslation(german);
  expect(labels()).toEqual(['Fertig', 'Running', '1 Min. 5 s', '1,234 Tokens']);
});

it('a server message is kept after its translation, if there is one', () => {
  const unreachable = { code: 'unreachable', message: 'No route to openai.' };
  const unknown = { code: 'constructor', message: 'What is this?' };
  expect([unreachable, unknown].map(errorMessage)).toEqual(['No route to openai.', 'What is this?']);
  setTranslation(german);
  expect([unreachable, unknown].map(errorMessage)).toEqual([
    'Der Anbieter ist nicht erreichbar. (No route to openai.)',
    'What is this?'
  ]);
});

it('a notebook file is English in every language', () => {
  setTranslation(german);
  const refused = { ...EMPTY_ANSWER, finish_reason: 'refusal' };
  expect([endReason(refused), endReason(refused, trans)]).toEqual([
    'The model declined to answer.',
    'Das Modell hat nicht geantwortet.'
  ]);
});
