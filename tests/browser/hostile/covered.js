() => {
  // Own controls that something else lies over, and what of an answer is met outside the box of its text.
  const found = [];
  const ours = '.jp-bgstream-view, .jp-bgstream-thread, .jp-bgstream-panel';
  const text = '.jp-bgstream-text';
  const say = node => node === null ? 'nothing' : `${node.outerHTML.slice(0, 120)} of ${node.parentElement?.className}`;
  const seen = node => node.checkVisibility({visibilityProperty: true, contentVisibilityAuto: false}) && node.getClientRects().length > 0;
  const met = (x, y) => document.elementFromPoint(x, y);
  let controls = 0;
  for (const node of document.querySelectorAll(`:is(${ours}) :is(button, summary, textarea, input, a[href])`)) {
    if (node.closest(text) !== null || !seen(node)) continue;
    node.scrollIntoView({block: 'center', inline: 'nearest'});
    const {left, top, width, height} = node.getBoundingClientRect();
    const hit = met(left + width / 2, top + height / 2);
    // An action of a row lies over its title by intention, and a toast of Lab over all.
    const meant = hit !== null && hit.closest(text) === null && hit.closest('.jp-bgstream-actions, .Toastify') !== null;
    if (!node.contains(hit) && !meant) found.push(`covered: ${say(node)} by ${say(hit)}`);
    controls += 1;
    outside();
  }
  function outside() {
    for (let x = 4; x < innerWidth; x += 24) {
      for (let y = 4; y < innerHeight; y += 12) {
        const hit = met(x, y);
        const box = hit?.closest(text)?.getBoundingClientRect();
        if (box !== undefined && (x < box.left - 1 || x > box.right + 1 || y < box.top - 1 || y > box.bottom + 1)) {
          found.push(`outside its text at ${x}, ${y}: ${say(hit)}`);
          return;
        }
      }
    }
  }
  return {found, controls};
}
