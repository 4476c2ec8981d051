/** Helpers for elements of this package: creation, text, state. */

/** Create an element with a class of this package. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  name: string,
  text = ''
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = `jp-bgstream-${name}`;
  node.textContent = text;
  return node;
}

/** Set an element's text if it differs: a screen reader would repeat an equal text. */
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Mark a view whose page the server denies, because it is not updated. */
export function setDenial(node: HTMLElement, denial: { code: string } | null): void {
  if (denial === null) {
    delete node.dataset.denial;
  } else {
    node.dataset.denial = denial.code;
  }
}

/** Keep keys that press a button from the notebook, where Enter begins to edit the cell. */
export function keepKeys(event: KeyboardEvent): void {
  const pressed = (event.key === 'Enter' || event.key === ' ') && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (pressed && event.target instanceof Element && event.target.closest('button, summary, a') !== null) {
    event.stopPropagation();
  }
}
