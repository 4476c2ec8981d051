"""``jupyter bgstream doctor``: check the installation, change nothing, give advice."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor`` to the subcommands."""
    doctor = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Check versions, config, database, providers and running servers, and give advice. Changes nothing."
        " The exit status is 1 if there is a problem.",
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument("--config", type=Path, help="Jupyter's config file, as for jupyter lab --config")
    doctor.set_defaults(run=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Run all checks and print their findings; return 1 if there is a problem."""
    from .runner import run_checks  # it imports all of Jupyter's server

    return run_checks(options.config, as_json=options.json)
