"""Looks at one area after the other and prints what was found."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..._version import __version__
from ..settings import Settings, load_settings
from . import config, database, providers, servers, versions
from .findings import Finding, report

_LOOKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "versions": versions.look,
    "config": config.look,
    "database": database.look,
    "providers": providers.look,
    "servers": servers.look,
}


def look_at_everything(config_file: Path | None, *, as_json: bool) -> int:
    """Print what was found; returns 1 if there is a problem."""
    began = time.monotonic()
    settings = load_settings(config_file)
    findings = [finding for area, look in _LOOKS.items() for finding in _safely(area, look, settings)]
    if as_json:
        # In ASCII: what a provider says may hold what a terminal obeys.
        print(json.dumps({"version": __version__, "findings": msgspec.to_builtins(findings)}))
    else:
        print(report(findings))
        count = {level: sum(it.level == level for it in findings) for level in ("problem", "warning")}
        says = ", ".join(f"{n} {level}{'' if n == 1 else 's'}" for level, n in count.items())
        print(f"\njupyter_bgstream {__version__}: {says}, after {time.monotonic() - began:.1f} s.")
    return int(any(finding.level == "problem" for finding in findings))


def _safely(area: str, look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from look(settings)
    except Exception as error:
        yield Finding(
            area=area,
            level="problem",
            message=f"This could not be looked at: {type(error).__name__}: {error}.",
            advice="Please report it.",
        )
