root => {
  const found = [];
  const ours = '.jp-bgstream-text';
  const texts = [...(root.matches(ours) ? [root] : root.querySelectorAll(ours))];
  const tags = ('a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 ' +
    'h4 h5 h6 hr i img input ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub summary sup table tbody td ' +
    'tfoot th thead time tr u ul var wbr').split(' ');
  const names = /^(align|alt|checked|class|colspan|dir|disabled|href|lang|open|rel|reversed|rowspan|src|start|target|type)$/;
  const classes = /^(jp-bgstream-(block|image|section|piece|asis|why)|ͼ[0-9a-z]+|mermaid|jp-RenderedMermaid(-Details|-Summary)?|jp-mod-warning)$/;
  for (const text of texts) {
    for (const node of text.querySelectorAll('*')) {
      const maths = node.closest('mjx-container') !== null; // MathJax draws with elements, styles and ids of its own
      if (!maths && !tags.includes(node.localName)) found.push(node.outerHTML.slice(0, 200));
      if (node.matches('input:not([type=checkbox][disabled])')) found.push(node.outerHTML.slice(0, 200));
      for (const {name, value} of node.attributes) {
        const plain = value.replace(/[\u0000-\u0020\u00a0\u200b\ufeff]/g, '').toLowerCase();
        const known = maths || names.test(name) || (node.tagName === 'IMG' && /^(width|height)$/.test(name));
        const bad = !known || name.startsWith('on') || name.startsWith('data-commandlinker') || name === 'data-action' ||
          (name === 'class' && !maths && [...node.classList].some(each => !classes.test(each))) ||
          (name === 'class' && maths && /jp-|lm-/.test(value)) ||
          (name === 'id' && !/^mjx-/i.test(value)) ||
          (/(^|:)href$/.test(name) && !/^(https?:\/\/|mailto:)/.test(plain)) ||
          (/(^|:)(src|action|data)$/.test(name) && !/^data:image\//.test(plain));
        if (bad) found.push(`${name}=${value}`.slice(0, 200));
      }
      if (node.hasAttribute('href') && !(node.target === '_blank' && /noopener/.test(node.rel))) found.push(node.outerHTML.slice(0, 200));
      const {contain, overflowX} = getComputedStyle(text);
      if (contain !== 'content' || overflowX === 'visible') found.push(`not contained: ${contain} ${overflowX}`);
    }
  }
  return {found, texts: texts.length};
}
