import { describe, expect, it } from 'vitest';

import { isCheapDiagram, withoutLoadingDiagrams } from '../../src/render/diagrams';
import { cpuTime } from '../cpu';

function fenced(diagram: string, fence = '```'): string {
  return `${fence}mermaid\n${diagram}\n${fence}\n`;
}

describe('diagrams', () => {
  it.each([
    'graph TD; A[One<br/>two] -->|yes| B(("x")) --- C & D; style A fill:#fff,stroke:#333;',
    'classDiagram\n  class Shape {\n    <<interface>>\n    +area() float\n  }\n  Animal <|-- Duck',
    'sequenceDiagram\n  A->>B: image of 60 %: "url"; A<<->>B: ok\\nmore',
    'gantt\n  title Plan\n  section One\n  A :a1, 2026-01-01, 30d'
  ])('that load nothing are drawn: %s', diagram => {
    expect(withoutLoadingDiagrams(fenced(diagram))).toBe(fenced(diagram));
  });

  it.each([
    'graph TD; A@{ img: "x" }',
    'graph TD; A[<img src=x>]',
    'graph TD; A[<<img src=x>>]',
    'graph TD; A[<IMG/src=x>]',
    'graph TD; A[#lt;img src=x#gt;]',
    'graph TD; A[&#x3C;img src=x&gt;]',
    'graph TD; style A fill:url(x)',
    'graph TD; style A fill:u\\72l(x)',
    'graph TD; click A href "https:x"',
    '%%{init: {"themeCSS": "a"}}%%\ngraph TD; A',
    '---\nconfig: {}\n---\ngraph TD; A',
    'sequenceDiagram\n  properties A: {"icon": "x"}',
    'sequenceDiagram\n  properties A: {"\\u0069con": "x"}'
  ])('that may load something are shown as code: %s', diagram => {
    expect(withoutLoadingDiagrams(fenced(diagram))).toBe(fenced(diagram).replace('mermaid', 'text'));
  });

  it.each([
    '```\u00a0mermaid\nA@{ img: "x" }\n```',
    '~~~\ufeffmermaid\nA@{ img: "x" }\n~~~',
    '```\u2028mermaid\nA@{\n```'
  ])('are recognized after any white space: %j', markdown =>
    expect(withoutLoadingDiagrams(markdown)).not.toContain('mermaid')
  );

  it('are recognized where a formula hides the end of the fence', () => {
    const list = '- a\n\n  ```mermaid\n  flowchart LR\n  %% $\n  ```\n  $\n  A@{ img: "https://x.org" }\n  ```';
    expect(withoutLoadingDiagrams(list)).toContain('```text');
  });

  it('are costly if any of several is costly', () => {
    const packet = '- ```mermaid\n  packet-beta\n  0-200000: "x"\n  ```\n';
    expect(isCheapDiagram('- ```mermaid\n  graph TD; A\n  ```\n')).toBe(true);
    expect(isCheapDiagram(`- \`\`\`mermaid\n  graph TD; A\n  \`\`\`\n${packet}`)).toBe(false);
    expect(isCheapDiagram('```\u00a0mermaid\npacket-beta\n0-200000: "x"\n```\n')).toBe(false);
  });

  it.each(['> ~~~~ \tmermaid\n> A@{ img: "x" }\n> ~~~~', '- ```mermaid\n  A@{ img: "x" }\n  ```', '```mermaid\nA@{'])(
    'are recognized in any container: %s',
    markdown => expect(withoutLoadingDiagrams(markdown)).not.toContain('mermaid')
  );

  it('depend on addresses after them, and not before them', () => {
    const text = `[a](https://x.org)\n\n${fenced('graph TD; A')}`;
    expect(withoutLoadingDiagrams(text)).toBe(text);
    expect(withoutLoadingDiagrams(`${text}\nhttps://x.org`)).toBe(`${text.replace('mermaid', 'text')}\nhttps://x.org`);
  });

  it('are not ended by a fence inside them', () => {
    expect(withoutLoadingDiagrams('````mermaid\n```\nA@{ img: "x" }\n````')).toContain('````text');
    expect(withoutLoadingDiagrams('```mermaid\n~~~\nA@{ img: "x" }\n```')).toContain('```text');
  });

  it('take linear time', async () => {
    const text = '```mermaid\nA\n'.repeat(100_000);
    expect(await cpuTime(() => withoutLoadingDiagrams(text))).toBeLessThan(3000);
  });
});
