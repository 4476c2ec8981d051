import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { refreshed } from '../src/bundle';
import { NOTHING } from '../src/fold';
import { BUNDLE_MIME, type Citation } from '../src/wire';

interface Case {
  name: string;
  text: string;
  sources: Citation[];
  finish_reason: string;
  markdown: string;
  plain: string;
}

const golden = JSON.parse(readFileSync(new URL('../../tests/golden/bundle.json', import.meta.url), 'utf8')) as {
  cases: Case[];
};

it.each(golden.cases.map(each => [each.name, each] as const))('%s', (_, { text, sources, finish_reason, ...saved }) => {
  const data = { [BUNDLE_MIME]: { id: 'j1', cursor: '', status: 'running', model: 'p/m' } };
  const fresh = refreshed(data, 'j1', 'c', { ...NOTHING, status: 'completed', text, sources, finish_reason });
  expect(fresh?.['text/markdown']).toBe(saved.markdown);
  expect(fresh?.['text/plain']).toBe(saved.plain);
});

it('is made in linear time, whatever a title or a line of code holds', () => {
  const data = { [BUNDLE_MIME]: { id: 'j1', cursor: '', status: 'running', model: 'p/m' } };
  const spaces = ' '.repeat(300_000);
  const sources = [{ url: `https://example.org/${spaces}x`, title: `a${spaces}b` }];
  const text = `\`\`\`\n${spaces}x${spaces}x\n\`\`\`${spaces}x`;
  const answer = { ...NOTHING, status: 'completed', text, sources, finish_reason: 'length' } as const;
  const start = performance.now();
  expect(refreshed(data, 'j1', 'c', answer)?.['text/markdown']).toMatch(/x\n```\n\nSources:\n\n1\. \[a\]/);
  expect(performance.now() - start).toBeLessThan(2000);
});
