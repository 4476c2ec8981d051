"""Findings of the checks, and their report."""

import textwrap
from collections.abc import Iterable
from itertools import groupby
from typing import Literal

import msgspec

from ...core.terminal_text import visible_line

WIDTH = 80

Level = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one check."""

    area: str = ""  # of the check, such as database
    level: Level
    message: str  # a sentence
    advice: str = ""  # what to do, if anything


def ok(message: str, advice: str = "") -> Finding:
    """Return a finding that is good."""
    return Finding(level="ok", message=message, advice=advice)


def warning(message: str, advice: str = "") -> Finding:
    """Return a finding that may need an action."""
    return Finding(level="warning", message=message, advice=advice)


def problem(message: str, advice: str = "") -> Finding:
    """Return a finding that needs an action."""
    return Finding(level="problem", message=message, advice=advice)


def report(findings: Iterable[Finding]) -> str:
    """Format findings for a terminal of 80 columns."""
    lines = []
    for area, found in groupby(findings, lambda finding: finding.area):
        lines += ["", area.capitalize()]
        for finding in found:
            lines += _wrapped(visible_line(finding.message), f"  {finding.level:<9}")
            if finding.advice:
                lines += _wrapped(visible_line(finding.advice), " " * 11 + "-> ")
    return "\n".join(lines[1:])


def _wrapped(text: str, before: str) -> list[str]:
    # Paths are never broken, so that they can be copied.
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=before,
        subsequent_indent=" " * len(before),
        break_long_words=False,
        break_on_hyphens=False,
    )
