/** The progress bar of a batch. */

import { element } from '../render/dom';
import type { EndCounts } from '../wire/types';
import { type BatchSnapshot, progressValueText } from './batchLabels';
import { endedOf } from './batchRate';

/** The parts of the bar, in order; the rest of it is what is queued. */
const SEGMENTS = ['completed', 'failed', 'cancelled', 'running', 'waiting'] as const;
type Segment = (typeof SEGMENTS)[number];

export class ProgressBar {
  readonly node = element('div', 'bar');

  constructor() {
    this.node.setAttribute('role', 'progressbar');
    this.node.setAttribute('aria-valuemin', '0');
    for (const name of SEGMENTS) {
      const segment = element('div', 'segment');
      segment.dataset.of = name;
      this._segments.set(name, segment);
      this.node.append(segment);
    }
  }

  show(title: string, batch: BatchSnapshot, { running, waiting }: { running: number; waiting: number }): void {
    const { total, counts } = batch;
    const widths = widthsOf(counts, running, waiting);
    for (const [name, segment] of this._segments) {
      segment.hidden = widths[name] === 0;
      segment.style.width = `${total === 0 ? 0 : (100 * widths[name]) / total}%`;
    }
    this.node.hidden = total === 0;
    this.node.setAttribute('aria-label', title);
    this.node.setAttribute('aria-valuemax', String(total));
    this.node.setAttribute('aria-valuenow', String(endedOf(counts)));
    this.node.setAttribute('aria-valuetext', progressValueText(batch));
  }

  private readonly _segments = new Map<Segment, HTMLElement>();
}

function widthsOf(counts: EndCounts, running: number, waiting: number): Record<Segment, number> {
  const { completed, failed, interrupted, cancelled } = counts;
  return { completed, failed: failed + interrupted, cancelled, running, waiting };
}
