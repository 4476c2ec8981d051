"""Looks whether providers can be used, in bounded time. Never shows a key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial

from ...core.errors import BgStreamError
from ...providers.base import ProviderStatus
from ...providers.registry import Registry
from ..settings import Settings
from .findings import Finding

_finding = partial(Finding, area="providers")


def look(settings: Settings) -> Iterator[Finding]:
    """Ask every provider which models it has."""
    app = settings.app
    try:
        registry = Registry(app.providers, environ=os.environ, default_model=app.default_model or None)
    except BgStreamError as error:
        yield _finding(
            level="problem",
            message=error.message,
            advice="Correct BgStreamApp.providers or BgStreamApp.default_model; the extension does not start with it.",
        )
        return
    found = asyncio.run(registry.status())
    meant = {*app.providers, (app.default_model or "").partition("/")[0]}
    for status in found:
        yield from _one(status, meant=status.name in meant)
    if all(status.error is not None for status in found):
        yield _finding(
            level="problem",
            message="No provider can be used now.",
            advice="Set OPENAI_API_KEY where Jupyter is started, or name a service in BgStreamApp.providers.",
        )
    if not app.default_model:
        yield _finding(level="ok", message="There is no default_model: every job names its model.")


def _one(status: ProviderStatus, *, meant: bool) -> Iterator[Finding]:
    if status.error is None:
        models = f"{len(status.models)} model{'' if len(status.models) == 1 else 's'}"
        yield _finding(level="ok", message=f"{status.name}: {models}.")
    elif status.error.code == "missing_key" and not meant:  # it is always there, and nobody asked for it
        yield _finding(level="ok", message=f"{status.name}: not set up. {status.error.message}")
    else:
        yield _finding(
            level="problem" if meant else "warning",
            message=f"{status.name} ({status.error.code}): {status.error.message}",
        )
