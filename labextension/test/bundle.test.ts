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
