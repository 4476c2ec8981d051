import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { type KnownJob, textsOf, updatedBatchOutput, updatedOutput } from '../../src/outputs/mimebundle';
import { type Answer, EMPTY_ANSWER } from '../../src/wire/fold';
import {
  BATCH_MIME,
  type BatchBundle,
  BUNDLE_MIME,
  type CitationInfo,
  type ErrorInfo,
  JOBS_MIME,
  type ImageInfo
} from '../../src/wire/types';
import { cpuTime } from '../cpu';
import { batchOf } from '../dom';

interface Case {
  name: string;
  text: string;
  sources: CitationInfo[];
  finish_reason: string;
  images?: ImageInfo[];
  files?: Record<string, string>;
  markdown: string;
  plain: string;
}

function golden<T>(name: string): T[] {
  const file = readFileSync(new URL(`../../../tests/golden/${name}.json`, import.meta.url), 'utf8');
  return (JSON.parse(file) as { cases: T[] }).cases;
}

it.each(golden<Case>('bundle').map(each => [each.name, each] as const))(
  'equals the golden case: %s',
  (_, { text, sources, finish_reason, images = [], files = {}, ...saved }) => {
    const data = { [BUNDLE_MIME]: { id: 'j1', cursor: '', status: 'running', model: 'p/m' } };
    const answer: Answer = { ...EMPTY_ANSWER, status: 'completed', text, sources, finish_reason, images };
    const known = (id: string): KnownJob => ({ id, cursor: 'c', answer, file: image => files[image] ?? null });
    const fresh = updatedOutput(data, known);
    expect(fresh?.['text/markdown']).toBe(saved.markdown);
    expect(fresh?.['text/plain']).toBe(saved.plain);
  }
);

it('is made in linear time for long titles and lines of code', async () => {
  const data = { [BUNDLE_MIME]: { id: 'j1', cursor: '', status: 'running', model: 'p/m' } };
  const spaces = ' '.repeat(300_000);
  const sources = [{ url: `https://example.org/${spaces}x`, title: `a${spaces}b` }];
  const text = `\`\`\`\n${spaces}x${spaces}x\n\`\`\`${spaces}x`;
  const answer = { ...EMPTY_ANSWER, status: 'completed', text, sources, finish_reason: 'length' } as const;
  const update = (): unknown => updatedOutput(data, id => ({ id, cursor: 'c', answer }))?.['text/markdown'];
  expect(await cpuTime(update)).toBeLessThan(2000);
  expect(update()).toMatch(/x[^]*Sources:/);
});

interface JobsCase {
  name: string;
  jobs: {
    model: string;
    status?: Answer['status'];
    text: string;
    sources: CitationInfo[];
    finish_reason: string | null;
    error?: ErrorInfo;
    images?: ImageInfo[];
    files?: Record<string, string>;
  }[];
  markdown: string;
  plain: string;
}

it.each(golden<JobsCase>('jobs').map(each => [each.name, each] as const))(
  'equals the golden case of jobs side by side: %s',
  (_, { jobs, ...saved }) => {
    const answers = jobs.map(({ status = 'completed', ...rest }) => ({ ...EMPTY_ANSWER, ...rest, status }));
    const data = {
      [JOBS_MIME]: {
        jobs: jobs.map(({ model }, i) => ({ id: `j${i + 1}`, cursor: '', status: 'new', model }))
      }
    };
    const known = (id: string): KnownJob => {
      const number = Number(id.slice(1)) - 1;
      return { id, cursor: 'c', answer: answers[number]!, file: image => jobs[number]?.files?.[image] ?? null };
    };
    const fresh = updatedOutput(data, known);
    expect(fresh?.['text/markdown']).toBe(saved.markdown);
    expect(fresh?.['text/plain']).toBe(saved.plain);
    expect(updatedOutput(fresh!, known)).toBeNull();
    // And what was joined can be taken apart, one of them at a time.
    answers.forEach((_, gone) => {
      const others = updatedOutput(fresh!, id => (id === `j${gone + 1}` ? null : { ...known(id), cursor: 'd' }));
      expect([others?.['text/markdown'], others?.['text/plain']].slice(0, others === null ? 0 : 2)).toEqual(
        others === null ? [] : [saved.markdown, saved.plain]
      );
    });
    expect(textsOf(fresh!)).toHaveLength(jobs.length);
  }
);

it.each(golden<{ name: string; batch: BatchBundle; markdown: string; plain: string }>('batch'))(
  'equals the golden case of a batch: $name',
  ({ batch, markdown, plain }) => {
    const data = { [BATCH_MIME]: { ...batch, status: 'x' } };
    const info = { ...batchOf({}), ...batch };
    const fresh = updatedBatchOutput(data, info);
    expect(fresh).toEqual({ [BATCH_MIME]: batch, 'text/markdown': markdown, 'text/plain': plain });
    expect(updatedBatchOutput(fresh!, info)).toBeNull();
  }
);
