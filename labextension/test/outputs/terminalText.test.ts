import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { escapeControls, escapeLine } from '../../src/outputs/terminalText';

const golden = JSON.parse(readFileSync(new URL('../../../tests/golden/visible.json', import.meta.url), 'utf8')) as {
  cases: { name: string; text: string; visible: string; line: string }[];
};

it.each(golden.cases.map(each => [each.name, each] as const))(
  'escapes the golden case: %s',
  (_, { text, visible: shown, line }) => {
    expect(escapeControls(text)).toBe(shown);
    expect(escapeLine(text)).toBe(line);
  }
);
