"""State of widgets that an HTML page can embed in a ``<script>`` element.

nbconvert writes the saved state of all widgets as JSON into one such element and escapes only ``</``. After ``<!--``
and ``<script`` in it, its end tag no longer ends it: the page loses the state of every widget.
"""

import json
import re
from typing import Any

_MARKUP = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)
_JOINED = "<\u2060"  # WORD JOINER: invisible, and no line break


def inert_json(value: Any) -> str:
    """Return JSON without ``<``; parsed, it is the exact value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def inert_code(code: str) -> str:
    """Return JavaScript without ``<!--``, which it has in strings and regular expressions only."""
    return code.replace("<!--", "\\x3c!--")


def inert_text(value: Any) -> Any:
    """Return a value whose strings look the same and contain no beginning of a comment or a script."""
    match value:
        case str():
            return _MARKUP.sub(_JOINED, value)
        case dict():
            return {name: inert_text(each) for name, each in value.items()}
        case list():
            return [inert_text(each) for each in value]
        case _:
            return value
