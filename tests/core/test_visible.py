"""Control characters are written out before a terminal could obey them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.terminal_text import visible, visible_line

CASES = json.loads((Path(__file__).parents[1] / "golden" / "visible.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_controls_are_written_out(case: dict[str, Any]) -> None:
    assert visible(case["text"]) == case["visible"]
    assert visible_line(case["text"]) == case["line"]


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    every = "".join(map(chr, [*range(0x180), *range(0x2000, 0x2070)]))
    assert "".join(char for char in visible(every) if not char.isprintable() and ord(char) < 0xA0) == "\t\n"
    assert visible_line(every).replace("\xad", "").isascii() is False
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in visible_line(every))


def test_an_error_keeps_its_message_and_prints_it_visibly() -> None:
    error = InvalidRequestError("\x1b]52;c;x\x07 is wrong.")
    assert error.message == "\x1b]52;c;x\x07 is wrong."
    assert str(error) == "\\x1b]52;c;x\\x07 is wrong."
