/** Colours for pages without Jupyter's theme: the page's own where known, else a dark or light set. */

import type { Disposable } from '../wire/jobFeed';

/** Set an element's colours as soon as it is in the page, and when the theme changes. */
export function applyTheme(node: HTMLElement): Disposable {
  const look = (): void => {
    if (node.isConnected) {
      const bare = getComputedStyle(document.documentElement).getPropertyValue('--jp-ui-font-color1') === '';
      node.classList.toggle('jp-mod-bare', bare);
      const paper = bare ? paperOf(node) : null;
      node.dataset.theme = bare && (paper === null ? hasLightText(node) : isDark(paper)) ? 'dark' : 'light';
      node.style.setProperty('--jp-bgstream-paper', paper ?? '');
    }
  };
  const frame = requestAnimationFrame(look);
  const scheme = window.matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', look);
  // VS Code and others name their theme in these attributes.
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

/** Return the nearest visible background. */
function paperOf(node: HTMLElement): string | null {
  for (let each = node.parentElement; each !== null; each = each.parentElement) {
    const { backgroundColor } = getComputedStyle(each);
    if ((parts(backgroundColor)?.[3] ?? 1) > 0.5) {
      return backgroundColor;
    }
  }
  return null;
}

function hasLightText(node: HTMLElement): boolean {
  return !isDark(getComputedStyle(node.parentElement ?? node).color);
}

function isDark(colour: string): boolean {
  const [red = 0, green = 0, blue = 0] = parts(colour) ?? [255, 255, 255];
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

/** Return red, green, blue and perhaps alpha; null for another notation. */
function parts(colour: string): number[] | null {
  return colour.startsWith('rgb') ? (colour.match(/[\d.]+/g) ?? []).map(Number) : null;
}
