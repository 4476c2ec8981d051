"""Check the providers in bounded time, without showing keys."""

import asyncio
from collections.abc import Iterator

from ...core.errors import InvalidRequestError
from ...providers.port import Default, ProviderStatus
from ...providers.registry import CORRECT, INVALID_CONFIG, Registry
from ..settings import Settings
from .findings import Finding, ok, problem, warning


def check(settings: Settings) -> Iterator[Finding]:
    """Ask every provider for its models."""
    app = settings.app
    registry = app.open_providers()
    for sentence in registry.problems:
        yield problem(
            sentence.removesuffix(f" {CORRECT}"),
            "Correct this setting of BgStreamApp, then restart Jupyter; the other settings have effect.",
        )
    found, default = asyncio.run(_ask(registry))
    configured = {*app.providers, *([default.model.partition("/")[0]] if app.default_model and default else [])}
    for status in found:
        if status.error is not None and status.error.code == INVALID_CONFIG:
            continue
        if status.configured or status.name in configured:
            yield from _one(status, configured=status.name in configured)
    if idle := [status for status in found if not (status.configured or status.name in configured)]:
        names = ", ".join(status.name for status in idle)
        yield ok(f"Not configured, which is fine: {names}. '%bg models' shows what each needs.")
    if default is not None and not default.model.startswith("demo/"):
        yield ok(f"The default is {default.model}. {default.why}")
    elif default is not None or not app.default_model:  # otherwise the invalid default is a problem already
        yield from _no_real_model(app.default_model)


async def _ask(registry: Registry) -> tuple[list[ProviderStatus], Default | None]:
    try:
        default = await registry.default()
    except InvalidRequestError:  # one of the problems
        default = None
    return await registry.status(), default


def _no_real_model(default_model: str) -> Iterator[Finding]:
    if default_model:
        yield ok(f"The default is {default_model}.")
        return
    yield warning(
        "There is no real default model: only the demo answers jobs without a model.",
        "Set OPENAI_API_KEY, for example, where Jupyter is started, or add a provider to BgStreamApp.providers.",
    )


def _one(status: ProviderStatus, *, configured: bool) -> Iterator[Finding]:
    if status.note is not None:
        yield warning(
            f"{status.name}: {status.note}",
            f"List its models in BgStreamApp.providers['{status.name}']['models'], which ends this warning.",
        )
    elif status.error is None:
        models = f"{len(status.models)} model{'' if len(status.models) == 1 else 's'}"
        yield ok(f"{status.name}: {models}.")
    else:
        yield Finding(
            level="problem" if configured else "warning",
            message=f"{status.name} ({status.error.code}): {status.error.message}",
        )
