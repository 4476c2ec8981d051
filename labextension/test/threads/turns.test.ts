import { describe, expect, it } from 'vitest';

import { textOf, turnsOf } from '../../src/threads/turns';
import { jobOf, saidBy } from '../threadServer';

/** What each turn is: its id, what was asked, whose it is, the answer. */
const brief = (...given: Parameters<typeof turnsOf>): unknown[] =>
  turnsOf(...given).map(({ id, asked, job, answer }) => [
    id,
    asked.map(({ content }) => textOf(content)).join('|'),
    job,
    answer
  ]);

describe('a conversation', () => {
  it('consists of its turns, with running ones last', () => {
    const said = [...saidBy('a', 'One?', 'One.'), ...saidBy('b', 'Two?')];
    expect(brief(said, [jobOf('b', 'running'), jobOf('a', 'completed')])).toEqual([
      ['a', 'One?', 'a', 'One.'],
      ['b', 'Two?', 'b', null]
    ]);
  });

  it('has failed turns at the place of their question', () => {
    const said = [...saidBy('b', 'Two?', 'Two.'), ...saidBy('d', 'Four?')];
    const jobs = [
      jobOf('e', 'failed'),
      jobOf('d', 'queued'),
      jobOf('c', 'cancelled'),
      jobOf('b', 'completed'),
      jobOf('a', 'failed')
    ];
    expect(brief(said, jobs).map(turn => (turn as string[])[0])).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('has a retry in the place of the retried turn', () => {
    const jobs = [
      jobOf('c', 'completed', { retry_of: 'a' }),
      jobOf('b', 'completed'),
      jobOf('a', 'failed', { retried_by: 'c' })
    ];
    const before = brief(saidBy('b', 'Two?', 'Two.'), jobs.slice(1));
    expect(before.map(turn => (turn as string[])[0])).toEqual(['a', 'b']);
    const said = [...saidBy('c', 'One?', 'One.'), ...saidBy('b', 'Two?', 'Two.')];
    expect(brief(said, jobs)).toEqual([
      ['a', 'One?', 'c', 'One.'],
      ['b', 'Two?', 'b', 'Two.']
    ]);
  });

  it('has an answer and its running retry as one turn', () => {
    const jobs = [jobOf('b', 'running', { retry_of: 'a' }), jobOf('a', 'completed', { retried_by: 'b' })];
    expect(brief([...saidBy('a', 'One?', 'One.'), ...saidBy('b', 'One?')], jobs)).toEqual([['a', 'One?', 'a', 'One.']]);
    expect(turnsOf(saidBy('a', 'One?', 'One.'), jobs)[0]!.record!.id).toBe('b');
  });

  it('has answers of deleted jobs as separate turns, and keeps images of questions', () => {
    const image = { type: 'image', media_type: 'image/png', bytes: 7 } as const;
    const said = [
      ...saidBy(null, 'One?', 'One.'),
      ...saidBy(null, 'Two?', 'Two.'),
      { ...saidBy('c', '')[0]!, content: [image, { type: 'text', text: 'This?' } as const] }
    ];
    const turns = turnsOf(said, [jobOf('c', 'running')]);
    expect(turns.map(({ job, answer }) => [job, answer])).toEqual([
      [null, 'One.'],
      [null, 'Two.'],
      ['c', null]
    ]);
    expect(turns[2]!.asked[0]!.content).toEqual([image, { type: 'text', text: 'This?' }]);
  });

  it('shows files by their names and sizes', () => {
    expect(
      textOf([
        { type: 'file', media_type: 'application/pdf', name: 'report.pdf', bytes: 1_234_567 },
        { type: 'file', media_type: 'text/csv', name: 'rates.csv', bytes: 12_345 },
        { type: 'audio', media_type: 'audio/wav', bytes: 999_600 },
        { type: 'image', media_type: 'image/png', bytes: 999 },
        { type: 'text', text: 'What is this?' }
      ])
    ).toBe('[report.pdf, 1.2 MB]\n[rates.csv, 12 kB]\n[audio/wav, 1.0 MB]\n[image/png, 999 bytes]\nWhat is this?');
  });

  it('begins with turns of the thread that it was forked from', () => {
    const said = [...saidBy('origin', 'One?', 'One.'), ...saidBy('b', 'Two?', 'Two.')];
    const turns = turnsOf(said, [jobOf('b', 'completed'), jobOf('a', 'failed')]);
    expect(turns.map(({ id, record }) => [id, record?.id ?? null])).toEqual([
      ['origin', null],
      ['a', 'a'],
      ['b', 'b']
    ]);
  });

  it('names the submitter of the first job, not of its retry', () => {
    const jobs = [
      jobOf('d', 'failed', { submitted_by: 'eve' }),
      jobOf('c', 'completed', { retry_of: 'a', submitted_by: 'bob' }),
      jobOf('b', 'completed'),
      jobOf('a', 'failed', { retried_by: 'c', submitted_by: 'ada' })
    ];
    const said = [...saidBy('c', 'One?', 'One.'), ...saidBy('b', 'Two?', 'Two.'), ...saidBy(null, 'Three?', 'Three.')];
    expect(turnsOf(said, jobs).map(({ id, asker }) => [id, asker])).toEqual([
      ['a', 'ada'],
      ['b', null],
      ['gone 2', null],
      ['d', 'eve']
    ]);
  });
});
