"""Text of others, as it goes to a terminal: control characters, which a terminal would obey, are written out.

Golden cases, shared with ``labextension/src/visible.ts``: ``tests/golden/visible.json``.
"""

from __future__ import annotations

import re

# C0 but tab and line's end, DEL, C1, and what turns the direction of text. ESC begins sequences that set titles and the
# clipboard, and so does U+009B; a lone CR goes back over what the line says. Half a surrogate pair, such as a byte of a
# file's name that is no text, cannot be printed at all.
_CONTROLS = "\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_IN_TEXT = re.compile(rf"[{_CONTROLS}]|\r(?!\n)")
_IN_LINE = re.compile(rf"[{_CONTROLS}\t\n\r\u2028\u2029]")


def visible(text: str) -> str:
    r"""Write control characters out, such as ESC as ``\x1b``; lines and tabs stay."""
    return _IN_TEXT.sub(_written, text)


def visible_line(text: str) -> str:
    r"""Write control characters out, those too that end a line."""
    return _IN_LINE.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
