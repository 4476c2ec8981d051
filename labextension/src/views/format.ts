/** Numbers, durations, prices and shortened text, as views show them. */

import { clipped } from '../render/boundedText';
import { trans } from '../translation';
import type { Cost } from '../wire/types';

/** Return a count with separators between thousands. */
export function formatNumber(count: number): string {
  return count.toLocaleString('en');
}

/** Return a duration in seconds in at most two units: 8 s, 1 min 5 s, 2 h 3 min. `short`: without a second unit of 0. */
export function formatDuration(seconds: number, short = false): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return trans.__('%1 s', whole);
  }
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) {
    return short && whole % 60 === 0 ? trans.__('%1 min', minutes) : trans.__('%1 min %2 s', minutes, whole % 60);
  }
  const hours = Math.floor(minutes / 60);
  return short && minutes % 60 === 0 ? trans.__('%1 h', hours) : trans.__('%1 h %2 min', hours, minutes % 60);
}

/** Return a price with two significant digits below a cent and a mark for an estimate; empty if it is unknown. */
export function formatCost(cost: Cost | null): string {
  if (cost === null) {
    return '';
  }
  const { usd, estimated } = cost;
  return `${estimated ? '≈ ' : ''}${usd > 0 && usd < 0.0001 ? '<$0.0001' : `$${digits(usd)}`}`;
}

function digits(usd: number): string {
  if (usd === 0) {
    return '0';
  }
  const cents = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return usd >= 0.095 ? usd.toLocaleString('en', cents) : String(Number(usd.toPrecision(2)));
}

/** Return a text in one line of at most `limit` characters and whole words. */
export function shortened(text: string, limit = 160): string {
  // Cut before the white space is replaced: the text may have megabytes.
  const line = clipped(text.trimStart(), 10 * limit)
    .replace(/\s+/g, ' ')
    .trim();
  if (line.length <= limit) {
    return line;
  }
  const cut = line.slice(0, limit);
  const words = cut.slice(0, cut.lastIndexOf(' '));
  // A text without spaces is cut anywhere but between the halves of a surrogate pair.
  const kept = words.length > limit / 2 ? words : cut.replace(/[\uD800-\uDBFF]$/, '');
  return `${kept.replace(/[\s,;:.–—-]+$/, '')}…`;
}

/** Return the first words of an answer in one line, without the marks of its Markdown. */
export function previewText(markdown: string): string {
  return clipped(markdown, 2000)
    .replace(/^\s*(?:#+|>|[-+*]|\d+\.)\s+/gm, '')
    .replace(/[*`~]+|\b_+|_+\b/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
