/** Colours for a page that does not have Jupyter's: the page's own, as far as it says, or dark or light to suit it. */

import type { Disposable } from './live';

/** Give an element colours as soon as it is in the page. */
export function dress(node: HTMLElement): Disposable {
  const look = (): void => {
    if (node.isConnected) {
      const bare = getComputedStyle(document.documentElement).getPropertyValue('--jp-ui-font-color1') === '';
      node.classList.toggle('jp-mod-bare', bare);
      node.dataset.theme = bare && isDark(node) ? 'dark' : 'light';
    }
  };
  const frame = requestAnimationFrame(look);
  const scheme = window.matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', look);
  // VS Code and others say in these what their theme is.
  const changes = new MutationObserver(look);
  for (const element of [document.documentElement, document.body]) {
    changes.observe(element, { attributes: true, attributeFilter: ['class', 'style', 'data-theme', 'theme'] });
  }
  return {
    dispose: () => {
      cancelAnimationFrame(frame);
      scheme.removeEventListener('change', look);
      changes.disconnect();
    }
  };
}

/** Whether the nearest background that can be seen is dark; with none, whether the page's text is light. */
function isDark(node: HTMLElement): boolean {
  for (let each = node.parentElement; each !== null; each = each.parentElement) {
    const background = parts(getComputedStyle(each).backgroundColor);
    if (background !== null && (background[3] ?? 1) > 0.5) {
      return lightness(background) < 0.5;
    }
  }
  const text = parts(getComputedStyle(node.parentElement ?? node).color);
  return text !== null && lightness(text) > 0.5;
}

function parts(colour: string): number[] | null {
  return colour.startsWith('rgb') ? (colour.match(/[\d.]+/g) ?? []).map(Number) : null;
}

function lightness([red = 0, green = 0, blue = 0]: number[]): number {
  return (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
}
