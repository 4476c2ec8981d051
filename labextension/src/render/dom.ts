/** Helpers for elements of this package: creation, text, state. */

/** Create an element with a class of this package. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  name: string,
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = `jp-bgstream-${name}`;
  node.append(...content);
  return node;
}

/** Create a button; style sheets and tests find it by its action. */
export function button(
  name: string,
  action: string,
  press: () => void,
  ...content: (Node | string)[]
): HTMLButtonElement {
  const node = element('button', name, ...content);
  node.type = 'button';
  node.dataset.action = action;
  node.addEventListener('click', press);
  return node;
}

/** Create a button that looks like a link. */
export function textButton(action: string, words: string, press: () => void): HTMLButtonElement {
  return button('textbutton', action, press, words);
}

/** Make these the children of an element. Only those out of order are moved: moving takes the focus away. */
export function arrange(parent: HTMLElement, nodes: readonly HTMLElement[]): void {
  const wanted = new Set<Element>(nodes);
  [...parent.children].filter(child => !wanted.has(child)).forEach(child => child.remove());
  nodes.forEach((node, i) => {
    const there = parent.children[i];
    if (there !== node) {
      parent.insertBefore(node, there ?? null);
    }
  });
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
