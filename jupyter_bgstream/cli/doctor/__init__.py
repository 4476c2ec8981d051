"""``jupyter bgstream doctor``: looks at everything this package stands on, changes nothing, says what to do."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor`` to the subcommands."""
    doctor = commands.add_parser(
        "doctor",
        help="look whether everything is in order",
        description="Look at versions, config, database, providers and running servers, and say what to do. Changes"
        " nothing. The exit status is 1 if there is a problem.",
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument("--config", type=Path, help="Jupyter's config file, as for jupyter lab --config")
    doctor.set_defaults(run=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Print what was found; returns 1 if there is a problem."""
    from .runner import look_at_everything  # it brings all of Jupyter's server

    return look_at_everything(options.config, as_json=options.json)
