"""Looks whether providers can be used, in bounded time. Never shows a key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

from ...core.errors import BgStreamError
from ...providers.base import Default, ProviderStatus
from ...providers.registry import Registry
from ..settings import Settings
from .findings import Finding

_finding = partial(Finding, area="providers")


def look(settings: Settings) -> Iterator[Finding]:
    """Ask every provider which models it has."""
    app = settings.app
    try:
        registry = app.open_providers()
    except BgStreamError as error:
        yield _finding(
            level="problem",
            message=error.message,
            advice="Correct this setting of BgStreamApp; the extension does not start with it.",
        )
        return
    found, default = asyncio.run(_asked(registry))
    meant = {*app.providers, *([default.model.partition("/")[0]] if app.default_model and default else [])}
    for status in found:
        if status.configured or status.name in meant:
            yield from _one(status, meant=status.name in meant)
    if idle := [status for status in found if not (status.configured or status.name in meant)]:
        names = ", ".join(status.name for status in idle)
        yield _finding(
            level="ok", message=f"Not set up, which is no fault: {names}. '%bg models' says what each needs."
        )
    if default is None or default.model.startswith("demo/"):
        yield from _nothing_real(app.default_model)
    else:
        yield _finding(level="ok", message=f"The default is {default.model}. {default.why}")


async def _asked(registry: Registry) -> tuple[list[ProviderStatus], Default | None]:
    return await registry.status(), await registry.default()


def _nothing_real(wished: str) -> Iterator[Finding]:
    if wished:
        yield _finding(level="ok", message=f"The default is {wished}.")
        return
    yield _finding(
        level="warning",
        message="No real model is the default: only the demo answers a job that names none.",
        advice="Set OPENAI_API_KEY, say, where Jupyter is started, or name a service in BgStreamApp.providers.",
    )


def _one(status: ProviderStatus, *, meant: bool) -> Iterator[Finding]:
    if status.note is not None:
        yield _finding(
            level="warning",
            message=f"{status.name}: {status.note}",
            advice=f"Name its models in BgStreamApp.providers['{status.name}']['models'], which ends this warning.",
        )
    elif status.error is None:
        models = f"{len(status.models)} model{'' if len(status.models) == 1 else 's'}"
        yield _finding(level="ok", message=f"{status.name}: {models}.")
    else:
        yield _finding(
            level="problem" if meant else "warning",
            message=f"{status.name} ({status.error.code}): {status.error.message}",
        )
