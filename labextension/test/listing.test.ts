import { expect, it } from 'vitest';

import { listed } from '../src/listing';
import type { Job } from '../src/wire';

const job = (id: string, more: Partial<Job> = {}): Job =>
  ({ id, status: 'completed', source: null, retry_of: null, retried_by: null, ...more }) as Job;
const rows = (...jobs: Job[]): unknown[] =>
  listed(jobs).map(each => [each.id, each.job.id, each.earlier.map(({ id }) => id)]);

it('jobs that ask each other again are one row, in the place of the newest', () => {
  expect(
    rows(
      job('c', { retry_of: 'b' }),
      job('x'),
      job('b', { retry_of: 'a', retried_by: 'c' }),
      job('a', { retried_by: 'b' })
    )
  ).toEqual([
    ['a', 'c', ['b', 'a']],
    ['x', 'x', []]
  ]);
});

it('one whose successor is not in the list is listed', () => {
  expect(rows(job('a', { retried_by: 'elsewhere' }), job('b', { retry_of: 'elsewhere' }))).toEqual([
    ['a', 'a', []],
    ['b', 'b', []]
  ]);
});

it('a job that goes on after its cell asked something newer is told from others', () => {
  const source = { notebook: 'a.ipynb', cell: 'c1', kernel: 'k' };
  const overtaken = listed([
    job('new', { status: 'running', source }),
    job('other', { status: 'running', source: { ...source, notebook: 'b.ipynb' } }),
    job('old', { status: 'running', source }),
    job('done', { source }),
    job('script', { status: 'running', source: { notebook: null, cell: null, kernel: null } })
  ]).map(row => row.overtaken);
  expect(overtaken).toEqual([false, false, true, false, false]);
});
