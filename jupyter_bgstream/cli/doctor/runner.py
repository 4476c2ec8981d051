"""Run the checks of all areas and print their findings."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..._version import __version__
from ..settings import Settings, load_settings
from . import config, database, providers, servers, versions
from .findings import Finding, report

_CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "versions": versions.check,
    "config": config.check,
    "database": database.check,
    "providers": providers.check,
    "servers": servers.check,
}


def run_checks(config_file: Path | None, *, as_json: bool) -> int:
    """Run all checks and print their findings; return 1 if there is a problem."""
    began = time.monotonic()
    settings = load_settings(config_file)
    findings = [finding for area, check in _CHECKS.items() for finding in _safely(area, check, settings)]
    if as_json:
        # In ASCII, because provider messages may contain control sequences of terminals.
        print(json.dumps({"version": __version__, "findings": msgspec.to_builtins(findings)}))
    else:
        print(report(findings))
        count = {level: sum(finding.level == level for finding in findings) for level in ("problem", "warning")}
        summary = ", ".join(f"{n} {level}{'' if n == 1 else 's'}" for level, n in count.items())
        print(f"\njupyter_bgstream {__version__}: {summary}, after {time.monotonic() - began:.1f} s.")
    return int(any(finding.level == "problem" for finding in findings))


def _safely(area: str, check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        for finding in check(settings):
            yield msgspec.structs.replace(finding, area=area)
    except Exception as error:
        message = f"The check failed: {type(error).__name__}: {error}."
        yield Finding(area=area, level="problem", message=message, advice="Please report it.")
