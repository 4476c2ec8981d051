import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { escapeHtml } from '../../src/outputs/escapeMarkdown';
import { costOfText } from '../../src/render/renderCost';

type Pieces = [text: string, times: number][];

interface Golden {
  cases: { name: string; markdown: Pieces; escaped: Pieces }[];
  costs: { name: string; text: Pieces; fence: boolean; cost: number }[];
}

const golden = JSON.parse(readFileSync('../tests/golden/costly.json', 'utf8')) as Golden;

function joined(pieces: Pieces): string {
  return pieces.map(([text, times]) => text.repeat(times)).join('');
}

describe('escaping of costly Markdown', () => {
  it.each(golden.cases)('equals the golden case: $name', ({ markdown, escaped }) => {
    expect(escapeHtml(joined(markdown))).toBe(joined(escaped));
    expect(escapeHtml(joined(escaped))).toBe(joined(escaped));
  });
});

describe('cost of a text', () => {
  it.each(golden.costs)('equals the golden case: $name', ({ text, fence, cost }) => {
    expect(costOfText(joined(text), fence)).toBeCloseTo(cost, 5);
  });
});
