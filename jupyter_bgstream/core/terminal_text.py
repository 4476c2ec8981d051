"""Untrusted text for a terminal: control characters are escaped, because a terminal would obey them.

Golden cases, shared with ``labextension/src/outputs/terminalText.ts``: ``tests/golden/visible.json``.
"""

import re

# C0 except tab and line feed, DEL, C1, and changes of text direction. ESC and U+009B begin sequences that set the title
# and the clipboard; a lone CR overwrites the line. Half of a surrogate pair, such as an undecodable byte of a file
# name, cannot be printed at all.
_CONTROLS = "\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_IN_TEXT = re.compile(rf"[{_CONTROLS}]|\r(?!\n)")
_IN_LINE = re.compile(rf"[{_CONTROLS}\t\n\r\u2028\u2029]")


def visible(text: str) -> str:
    r"""Escape control characters, such as ESC as ``\x1b``; keep line breaks and tabs."""
    return _IN_TEXT.sub(_written, text)


def visible_line(text: str) -> str:
    r"""Escape control characters, including tabs and line breaks."""
    return _IN_LINE.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
