/** Observes whether an element is on the screen or near it, so that answers elsewhere are drawn later. */

/** How far beyond the edge counts as near. */
const MARGIN = '50%';

export class Visibility {
  /** @param changed is called when the element comes near or leaves. */
  constructor(node: Element, changed: () => void) {
    if (typeof IntersectionObserver === 'undefined') {
      this._near = true;
      return;
    }
    // The margin of a scroller inside the page is not known to all browsers: there the edge itself counts.
    const margins = { rootMargin: MARGIN, scrollMargin: MARGIN };
    this._observer = new IntersectionObserver(entries => {
      const isNear = entries.at(-1)?.isIntersecting ?? false;
      if (isNear !== this._near) {
        this._near = isNear;
        changed();
      }
    }, margins);
    this._observer.observe(node);
  }

  dispose(): void {
    this._observer?.disconnect();
  }

  /** False until the browser has reported it. */
  get isNear(): boolean {
    return this._near ?? false;
  }

  /** Whether the browser has reported it. */
  get isKnown(): boolean {
    return this._near !== null;
  }

  private _near: boolean | null = null;
  private readonly _observer: IntersectionObserver | null = null;
}
