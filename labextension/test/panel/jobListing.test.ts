import { expect, it } from 'vitest';

import { jobItems } from '../../src/panel/jobListing';
import type { JobInfo } from '../../src/wire/types';

const NOWHERE = { notebook: null, cell: null, kernel: null };

const job = (id: string, more: Partial<JobInfo> = {}): JobInfo =>
  ({ id, status: 'completed', source: NOWHERE, retry_of: null, retried_by: null, ...more }) as JobInfo;
const rows = (...jobs: JobInfo[]): unknown[] =>
  jobItems(jobs, null).map(each => [each.id, each.job.id, each.earlier.map(({ id }) => id)]);

it('a chain of retries is one row, in the place of the newest', () => {
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

it('a job whose retry is not in the list is listed', () => {
  expect(rows(job('a', { retried_by: 'elsewhere' }), job('b', { retry_of: 'elsewhere' }))).toEqual([
    ['a', 'a', []],
    ['b', 'b', []]
  ]);
});

it('a running job of an earlier run of its cell is marked as overtaken', () => {
  const source = { notebook: 'a.ipynb', cell: 'c1', kernel: 'k' };
  const overtaken = jobItems(
    [
      job('new', { status: 'running', source, created_at: 60 }),
      job('other', { status: 'running', source: { ...source, notebook: 'b.ipynb' } }),
      job('old', { status: 'running', source, created_at: 50 }),
      job('done', { source }),
      job('script', { status: 'running', source: NOWHERE })
    ],
    null
  ).map(row => row.overtaken);
  expect(overtaken).toEqual([false, false, true, false, false]);
});

it('jobs of one run of a cell do not overtake each other, also when one is retried', () => {
  const source = { notebook: 'a.ipynb', cell: 'c1', kernel: 'k' };
  const running = (id: string, created_at: number, more: Partial<JobInfo> = {}): JobInfo =>
    job(id, { status: 'running', source, created_at, ...more });
  const overtaken = jobItems(
    [
      running('again', 90, { retry_of: 'third' }),
      job('third', { source, created_at: 61.5, retried_by: 'again' }),
      running('second', 60.8),
      running('first', 60),
      running('old', 31),
      running('old too', 30)
    ],
    null
  ).map(row => [row.job.id, row.overtaken]);
  expect(overtaken).toEqual([
    ['again', false],
    ['second', false],
    ['first', false],
    ['old', true],
    ['old too', true]
  ]);
});

it('rows name submitters if one is not the viewer, also of earlier jobs', () => {
  const jobs = [job('b', { retry_of: 'a', submitted_by: 'ada' }), job('a', { retried_by: 'b', submitted_by: 'bob' })];
  expect(jobItems(jobs, 'ada').map(({ named }) => named)).toEqual([true]);
  expect(jobItems(jobs.slice(0, 1), 'ada').map(({ named }) => named)).toEqual([false]);
  expect(jobItems([job('of a server before the field')], null).map(({ named }) => named)).toEqual([false]);
});
