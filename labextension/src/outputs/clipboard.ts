/** Copies the Markdown of the answers in an output, without the state line and the buttons. */

import { sourceOf } from '../render/textPane';

const OUTPUT = '.jp-OutputArea-output, .jp-bgstream-view, .jp-bgstream-compare';
const PANE = '.jp-bgstream-text';

/** Copy whole answers as they were written; a part of one is copied as rendered. */
export function copyAnswers(event: ClipboardEvent): void {
  const selection = document.getSelection();
  if (event.defaultPrevented || event.clipboardData === null || selection?.rangeCount !== 1) {
    return;
  }
  const range = selection.getRangeAt(0);
  const common = range.commonAncestorContainer;
  const output = (common instanceof Element ? common : common.parentElement)?.closest(OUTPUT);
  if (output == null) {
    return;
  }
  const panes = [...output.querySelectorAll<HTMLElement>(PANE)].filter(
    pane => pane.closest('details') === null && covers(range, pane)
  );
  if (panes.length === 0) {
    return;
  }
  const answers = panes.map(pane => {
    const name = panes.length > 1 ? pane.closest('.jp-bgstream-column')?.firstElementChild?.textContent : null;
    return [name == null ? '' : `#### ${name}`, sourceOf(pane)].filter(Boolean).join('\n\n');
  });
  event.clipboardData.setData('text/plain', answers.join('\n\n'));
  event.clipboardData.setData('text/html', panes.map(pane => pane.innerHTML).join(''));
  event.preventDefault();
}

/** Return whether all words of an element are selected: browsers let a selection begin and end at words. */
function covers(range: Range, node: HTMLElement): boolean {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const words: Text[] = [];
  while (walker.nextNode() !== null) {
    const text = walker.currentNode as Text;
    if (text.data.trim() !== '') {
      words.push(text);
    }
  }
  const [first, last] = [words[0], words.at(-1)];
  return (
    first !== undefined &&
    last !== undefined &&
    range.comparePoint(first, first.data.search(/\S/)) === 0 &&
    range.comparePoint(last, last.data.trimEnd().length) === 0
  );
}
