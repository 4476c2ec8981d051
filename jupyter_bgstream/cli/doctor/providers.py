"""Looks whether providers can be used, in bounded time. Never shows a key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

from ...core.errors import InvalidRequestError
from ...providers.base import Default, ProviderStatus
from ...providers.registry import CORRECT, INVALID_CONFIG, Registry
from ..settings import Settings
from .findings import Finding

_finding = partial(Finding, area="providers")


def look(settings: Settings) -> Iterator[Finding]:
    """Ask every provider which models it has."""
    app = settings.app
    registry = app.open_providers()
    for problem in registry.problems:
        yield _finding(
            level="problem",
            message=problem.removesuffix(f" {CORRECT}"),
            advice="Correct this setting of BgStreamApp, then restart Jupyter; the other settings have effect.",
        )
    found, default = asyncio.run(_asked(registry))
    meant = {*app.providers, *([default.model.partition("/")[0]] if app.default_model and default else [])}
    for status in found:
        if status.error is not None and status.error.code == INVALID_CONFIG:
            continue
        if status.configured or status.name in meant:
            yield from _one(status, meant=status.name in meant)
    if idle := [status for status in found if not (status.configured or status.name in meant)]:
        names = ", ".join(status.name for status in idle)
        yield _finding(
            level="ok", message=f"Not set up, which is no fault: {names}. '%bg models' says what each needs."
        )
    if default is not None and not default.model.startswith("demo/"):
        yield _finding(level="ok", message=f"The default is {default.model}. {default.why}")
    elif default is not None or not app.default_model:  # else the wrong default was a problem
        yield from _nothing_real(app.default_model)


async def _asked(registry: Registry) -> tuple[list[ProviderStatus], Default | None]:
    try:
        default = await registry.default()
    except InvalidRequestError:  # one of the problems
        default = None
    return await registry.status(), default


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
