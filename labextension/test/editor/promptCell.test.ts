// @vitest-environment jsdom
import { python } from '@codemirror/lang-python';
import { ensureSyntaxTree, getIndentation, IndentContext, language } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { afterEach, describe, expect, it } from 'vitest';

import { promptCell } from '../../src/editor/promptCell';

let view: EditorView;

function show(doc: string): EditorView {
  view = new EditorView({ doc, extensions: [python(), promptCell()], parent: document.body });
  return view;
}

const marked = (name: string): (string | null)[] =>
  [...view.dom.querySelectorAll(`.jp-bgstream-promptcell-${name}`)].map(node => node.textContent);
const languageOf = ({ state }: EditorView): string | undefined => state.facet(language)?.name;

afterEach(() => view.destroy());

describe('a cell of %%bg', () => {
  it('is prose with its magic, options and expressions marked', () => {
    show('%%bg demo/echo --thread {topic}\nTell {name} why `f"{x}"` is {{y}}.\n\n    print({z})');
    expect(languageOf(view)).toBe('bgstream-prompt');
    expect(view.dom.classList.contains('jp-bgstream-promptcell')).toBe(true);
    expect(marked('magic')).toEqual(['%%bg']);
    expect(marked('option')).toEqual(['--thread']);
    expect(marked('expression')).toEqual(['{topic}', '{name}']);
  });

  it('marks all with --fill and the line alone with --raw', () => {
    show('%%bg --fill\nf"{x}" {y}');
    expect(marked('expression')).toEqual(['{x}', '{y}']);
    view.dispatch({ changes: { from: 5, to: 11, insert: '--raw --thread {t}' } });
    expect(marked('expression')).toEqual(['{t}']);
  });

  it.each(['%%bg', '\n\n%%bg', '%%bg\n', '%%bg\t--wait'])('is recognized when it begins with %j', doc => {
    expect(languageOf(show(doc))).toBe('bgstream-prompt');
  });

  it.each(['', 'x = 1', '%%bgx', '%bg list', ' %%bg', '# %%bg', 'x\n%%bg', '%%time\n{x}'])(
    'is not recognized in %j',
    doc => {
      expect(languageOf(show(doc))).toBe('python');
      expect(view.dom.classList.contains('jp-bgstream-promptcell')).toBe(false);
      expect(marked('expression')).toEqual([]);
    }
  );

  it('follows its first line', () => {
    show('bg demo/echo\nTell {name}:');
    expect(languageOf(view)).toBe('python');
    view.dispatch({ changes: { from: 0, insert: '%%' } });
    expect(languageOf(view)).toBe('bgstream-prompt');
    expect(marked('expression')).toEqual(['{name}']);
    view.dispatch({ changes: { from: 0, to: 1 } });
    expect(languageOf(view)).toBe('python');
    expect(marked('expression')).toEqual([]);
  });

  it('has no indentation of Python', () => {
    const end = (view: EditorView): number | null => {
      ensureSyntaxTree(view.state, view.state.doc.length, 10_000);
      view.dispatch({}); // the state takes the tree, which a busy machine may have finished late
      const { state } = view;
      const { length } = state.doc;
      return getIndentation(new IndentContext(state, { simulateBreak: length }), length);
    };
    expect(end(show('for x in y:'))).toBe(2);
    view.destroy();
    expect(end(show('%%bg\nfor x in y:'))).toBeNull();
  });

  it('is not marked when it is very long', () => {
    show(`%%bg\n{a} ${'and so on '.repeat(20_001)}`);
    expect(languageOf(view)).toBe('bgstream-prompt');
    expect(marked('expression')).toEqual([]);
  });

  it('needs no other language in the editor', () => {
    view = new EditorView({ doc: 'x = {y}', extensions: [promptCell()] });
    expect(languageOf(view)).toBe('plain');
    view.dispatch({ changes: { from: 0, insert: '%%bg\n' } });
    expect(languageOf(view)).toBe('bgstream-prompt');
  });
});
