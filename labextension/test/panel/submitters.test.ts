// @vitest-environment jsdom
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { askerLabel, namesPeople, SubmitterLabel } from '../../src/panel/submitters';

interface Case {
  name: string;
  viewer: string | null;
  submitted_by: (string | null)[];
  named: boolean;
}

const HOSTILE = '<img src=x onerror="hacked()">';
const { cases } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../tests/golden/people.json'), 'utf8')) as {
  cases: Case[];
};

it.each(cases.map(each => [each.name, each] as const))(
  'list of %s names its submitters as the golden case does',
  (_, each) => {
    const jobs = each.submitted_by.map(submitted_by => ({ submitted_by }));
    expect(namesPeople(jobs, each.viewer)).toBe(each.named);
  }
);

describe('label of a submitter', () => {
  it('is text in its own direction for any name', () => {
    const label = new SubmitterLabel();
    label.update(HOSTILE);
    expect(label.node.textContent).toBe(`by ${HOSTILE}`);
    expect(label.node.title).toBe(`Submitted by ${HOSTILE}`);
    expect(label.node.querySelector('img')).toBeNull();
    expect(label.node.querySelector('bdi')!.dir).toBe('auto');
  });

  it('is empty without a name, also after one', () => {
    const label = new SubmitterLabel();
    label.update(null);
    expect([label.node.childNodes.length, label.node.title]).toEqual([0, '']);
    label.update('bob');
    label.update('eve');
    expect(label.node.textContent).toBe('by eve');
    label.update(null);
    expect([label.node.childNodes.length, label.node.title]).toEqual([0, '']);
  });
});

it.each([
  ['bob', 'ada', true, 'bob'],
  ['ada', 'ada', true, 'You'],
  ['ada', 'ada', false, 'You'],
  [null, 'ada', false, 'You'],
  [null, null, false, 'You'],
  [null, 'ada', true, 'Question'],
  ['bob', null, true, 'bob']
])('question of %s, read by %s (submitters named: %s), is labelled %s', (asker, viewer, named, words) => {
  expect(askerLabel(asker, viewer, named)).toBe(words);
});
