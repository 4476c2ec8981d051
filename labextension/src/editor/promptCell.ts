/** Highlights a cell of `%%bg`: a line of options, and prose in which the expressions that are filled in are marked. */

import { language, StreamLanguage } from '@codemirror/language';
import { type EditorState, type Extension, Prec, StateField, type Text } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView } from '@codemirror/view';

import { filledRanges, type Range } from './interpolation';

const MAGIC = /^%%bg(?=\s|$)/;
const OPTION = /(?<=\s)--[a-z][a-z-]*/g;
const LONGEST = 200_000; // characters; marks in longer cells would slow down typing

/** Without tokens, indentation or comments of its own; braces are closed, since they are the syntax of a prompt. */
const prose = StreamLanguage.define({
  name: 'bgstream-prompt',
  token: stream => {
    stream.skipToEnd();
    return null;
  },
  indent: () => null,
  languageData: { closeBrackets: { brackets: ['{'] } }
});

/** Where an editor has no language: once the facet has been named, CodeMirror expects one. */
const plain = StreamLanguage.define({
  name: 'plain',
  token: stream => {
    stream.skipToEnd();
    return null;
  },
  indent: () => null
});

const mark = (name: string): Decoration => Decoration.mark({ class: `jp-bgstream-promptcell-${name}` });
const MARKS = { magic: mark('magic'), option: mark('option'), expression: mark('expression') };

interface PromptCell {
  isPrompt: boolean;
  marks: DecorationSet;
}

const NONE: PromptCell = { isPrompt: false, marks: Decoration.none };

const field = StateField.define<PromptCell>({
  create: ({ doc }) => read(doc),
  update: (value, { docChanged, newDoc }) => (docChanged ? read(newDoc) : value),
  provide: self => [
    EditorView.decorations.from(self, ({ marks }) => marks),
    Prec.highest(language.computeN([self], state => (isPrompt(state) ? [prose] : []))),
    Prec.lowest(language.of(plain)),
    EditorView.editorAttributes.from(self, ({ isPrompt }) => ({ class: isPrompt ? 'jp-bgstream-promptcell' : '' }))
  ]
});

/** The extension for an editor of a code cell. It costs a look at the first line until that is one of `%%bg`. */
export function promptCell(): Extension {
  return field;
}

function isPrompt(state: EditorState): boolean {
  return state.field(field).isPrompt;
}

function read(doc: Text): PromptCell {
  const start = magicLine(doc);
  if (start === null) {
    return NONE;
  }
  const line = doc.lineAt(start);
  const options = [...line.text.matchAll(OPTION)].map(({ 0: option, index }) => ({ option, from: start + index }));
  const given = new Set(options.map(({ option }) => option));
  const shifted = (ranges: Range[], by: number): Range[] =>
    ranges.map(({ from, to }) => ({ from: from + by, to: to + by }));
  const below = Math.min(line.to + 1, doc.length);
  const marked =
    given.has('--raw') || doc.length > LONGEST ? [] : filledRanges(doc.sliceString(below), given.has('--fill'));
  const marks = [
    MARKS.magic.range(start, start + '%%bg'.length),
    ...options.map(({ option, from }) => MARKS.option.range(from, from + option.length)),
    ...[...shifted(filledRanges(line.text, true), start), ...shifted(marked, below)].map(({ from, to }) =>
      MARKS.expression.range(from, to)
    )
  ];
  return { isPrompt: true, marks: Decoration.set(marks, true) };
}

/** Return where the line with `%%bg` begins, which may follow empty lines only; null if the cell is another's. */
function magicLine(doc: Text): number | null {
  for (let number = 1; number <= doc.lines; number++) {
    const { text, from } = doc.line(number);
    if (text.trim() !== '') {
      return MAGIC.test(text) ? from : null;
    }
  }
  return null;
}
