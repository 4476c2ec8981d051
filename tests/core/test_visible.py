"""Escaping of control characters for terminals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.terminal_text import visible, visible_line

CASES = json.loads((Path(__file__).parents[1] / "golden" / "visible.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_control_characters_are_escaped(case: dict[str, Any]) -> None:
    assert visible(case["text"]) == case["visible"]
    assert visible_line(case["text"]) == case["line"]


def test_escaped_text_contains_no_terminal_controls() -> None:
    every = "".join(map(chr, [*range(0x180), *range(0x2000, 0x2070)]))
    assert "".join(char for char in visible(every) if not char.isprintable() and ord(char) < 0xA0) == "\t\n"
    assert visible_line(every).replace("\xad", "").isascii() is False
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in visible_line(every))


def test_error_keeps_message_and_escapes_it_in_str() -> None:
    error = InvalidRequestError("\x1b]52;c;x\x07 is wrong.")
    assert error.message == "\x1b]52;c;x\x07 is wrong."
    assert str(error) == "\\x1b]52;c;x\\x07 is wrong."
