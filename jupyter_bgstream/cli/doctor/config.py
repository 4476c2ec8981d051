"""Check Jupyter's config."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import partial

from ...server.app import BgStreamApp
from ..settings import Settings
from .findings import Finding

_finding = partial(Finding, area="config")


def check(settings: Settings) -> Iterator[Finding]:
    """Report the config files, and their errors."""
    for file, error in settings.broken:
        yield _finding(
            level="problem",
            message=f"{file} cannot be read: {error}",
            advice="The server ignores this file and its settings. Fix the file.",
        )
    for name in settings.unknown:
        near = difflib.get_close_matches(name, BgStreamApp.class_traits(config=True), n=1)
        yield _finding(
            level="warning",
            message=f"BgStreamApp.{name} is not a setting, and has no effect.",
            advice=f"Did you mean BgStreamApp.{near[0]}?" if near else "See docs/reference/configuration.md.",
        )
    if settings.invalid is not None:
        yield _finding(level="problem", message=settings.invalid, advice="Correct this setting.")
    if settings.enabled is None:
        yield _finding(
            level="problem",
            message="The server extension is not enabled: no Jupyter config names it.",
            advice="jupyter server extension enable jupyter_bgstream",
        )
    elif not settings.enabled:
        yield _finding(
            level="problem",
            message="The server extension is disabled.",
            advice="jupyter server extension enable jupyter_bgstream",
        )
    else:
        yield _finding(level="ok", message="The server extension is enabled.")
    if settings.files:
        yield _finding(level="ok", message=f"Read: {', '.join(settings.files)}.")
    else:
        yield _finding(level="ok", message="There is no config file; all settings have their defaults.")
