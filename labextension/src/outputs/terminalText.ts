/**
 * Escapes untrusted text for text/plain, which terminals show: a terminal would obey control characters. The same as
 * `jupyter_bgstream/core/terminal_text.py`; both run the cases in `tests/golden/visible.json`.
 */

const CONTROLS = '\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069';
// Half a surrogate pair cannot be printed at all.
const HALF = '[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]';
const IN_TEXT = new RegExp(`[${CONTROLS}]|\\r(?!\\n)|${HALF}`, 'g');
const IN_LINE = new RegExp(`[${CONTROLS}\\t\\n\\r\\u2028\\u2029]|${HALF}`, 'g');

/** Write control characters out, such as ESC as `\x1b`; lines and tabs stay. */
export function escapeControls(text: string): string {
  return text.replace(IN_TEXT, written);
}

/** Write control characters out, those too that end a line. */
export function escapeLine(text: string): string {
  return text.replace(IN_LINE, written);
}

function written(found: string): string {
  const code = found.charCodeAt(0);
  const hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`;
}
