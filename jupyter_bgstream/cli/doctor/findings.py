"""What a look at the installation found, and how it is said."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import groupby
from typing import Literal

import msgspec

from ...core.terminal_text import visible_line

WIDTH = 80

Level = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    area: str  # such as database
    level: Level
    message: str  # a sentence
    advice: str = ""  # what to do, if anything


def report(findings: Iterable[Finding]) -> str:
    """Write findings for a terminal of 80 columns."""
    lines = []
    for area, found in groupby(findings, lambda finding: finding.area):
        lines += ["", area.capitalize()]
        for finding in found:
            lines += _wrapped(visible_line(finding.message), f"  {finding.level:<9}")
            if finding.advice:
                lines += _wrapped(visible_line(finding.advice), " " * 11 + "-> ")
    return "\n".join(lines[1:])


def _wrapped(text: str, before: str) -> list[str]:
    # A path is never broken: it may be copied.
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=before,
        subsequent_indent=" " * len(before),
        break_long_words=False,
        break_on_hyphens=False,
    )
