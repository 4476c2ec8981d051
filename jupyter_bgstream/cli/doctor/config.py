"""Check Jupyter's config files for errors."""

import difflib
from collections.abc import Iterator

from ...server.app import BgStreamApp
from ..settings import Settings
from .findings import Finding, ok, problem, warning


def check(settings: Settings) -> Iterator[Finding]:
    """Report the config files, and their errors."""
    for file, error in settings.broken:
        yield problem(f"{file} cannot be read: {error}", "The server ignores this file and its settings. Fix the file.")
    for name in settings.unknown:
        near = difflib.get_close_matches(name, BgStreamApp.class_traits(config=True), n=1)
        yield warning(
            f"BgStreamApp.{name} is not a setting, and has no effect.",
            f"Did you mean BgStreamApp.{near[0]}?" if near else "See docs/reference/configuration.md.",
        )
    if settings.invalid is not None:
        yield problem(settings.invalid, "Correct this setting.")
    if settings.enabled is None:
        yield problem(
            "The server extension is not enabled: no Jupyter config names it.",
            "jupyter server extension enable jupyter_bgstream",
        )
    elif not settings.enabled:
        yield problem("The server extension is disabled.", "jupyter server extension enable jupyter_bgstream")
    else:
        yield ok("The server extension is enabled.")
    if settings.files:
        yield ok(f"Read: {', '.join(settings.files)}.")
    else:
        yield ok("There is no config file; all settings have their defaults.")
