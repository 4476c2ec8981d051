"""``jupyter bgstream fill``: brings the answers in notebook files up to date, without a browser."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``fill`` to the subcommands."""
    fill = commands.add_parser(
        "fill",
        help="bring the answers in notebook files up to date",
        description="Write what was answered since into notebook files, as a save in JupyterLab would: of the newest"
        " retry, in place, and nothing else. Asks a running server, or else reads the database. The exit status is 1"
        " if something could not be read or written, with --check if something is not up to date, and with --wait if"
        " something still runs.",
    )
    fill.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK", help="a file")
    fill.add_argument("--check", action="store_true", help="write nothing, and say what is not up to date")
    fill.add_argument(
        "--wait",
        nargs="?",
        type=_seconds,
        const=math.inf,
        metavar="SECONDS",
        help="wait for what still runs, at most so long",
    )
    fill.add_argument("--database", type=Path, help="look in this database only")
    fill.set_defaults(run=run_fill)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return seconds


def run_fill(options: argparse.Namespace) -> int:
    """Fill each of the notebooks; returns 1 if something is not as it was wanted."""
    from .command import fill

    return fill(options.notebooks, check=options.check, wait=options.wait, database=options.database)
