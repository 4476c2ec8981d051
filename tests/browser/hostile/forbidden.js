root => {
  const found = [];
  const ours = '.jp-bgstream-text';
  const texts = [...(root.matches(ours) ? [root] : root.querySelectorAll(ours))];
  const never = 'script,iframe,frame,frameset,object,embed,applet,portal,form,base,link,meta,style,template,noscript,' +
    'svg script,foreignObject,use,animate,set,video[src],audio[src],source[src],track[src],input:not([type=checkbox]),dialog[open],' +
    'textarea,[contenteditable],[popover],[is],[slot],[srcdoc],[srcset],[ping],[background],[formaction],[autofocus]';
  for (const text of texts) {
    const frame = text.closest('.jp-bgstream-view').getBoundingClientRect();
    for (const node of text.querySelectorAll('*')) {
      const maths = node.closest('mjx-container') !== null;
      if (node.matches(never) && !maths) found.push(node.outerHTML.slice(0, 200));
      for (const {name, value} of node.attributes) {
        const plain = value.replace(/[\u0000-\u0020\u00a0\u200b\ufeff]/g, '').toLowerCase();
        const bad = name.startsWith('on') || name.startsWith('data-commandlinker') || name === 'data-action' ||
          ((name === 'id' || name === 'name') && !maths) ||
          (/(^|:)(href|src|action|data)$/.test(name) && !/^(https?:|mailto:|#|data:image\/|$)/.test(plain)) ||
          (name === 'style' && /url\(|image|expression|\\/.test(plain));
        if (bad) found.push(`${name}=${value}`.slice(0, 200));
      }
      if (node.tagName === 'A' && !['', '_self'].includes(node.target) && !/noopener/.test(node.rel)) found.push(node.outerHTML.slice(0, 200));
      if (node.tagName === 'IMG' && node.src && !node.src.startsWith('data:image/')) found.push(node.outerHTML.slice(0, 200));
      const at = node.getBoundingClientRect();
      const top = document.elementFromPoint(innerWidth / 2, 20);
      if (top && node.contains(top) && (frame.top > 20 || frame.bottom < 20)) found.push(`over the page: ${node.outerHTML.slice(0, 200)}`);
    }
  }
  return {found, texts: texts.length};
}
