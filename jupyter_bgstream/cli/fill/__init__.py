"""``jupyter bgstream fill``: update the answers in notebook files without a browser."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``fill`` to the subcommands."""
    fill = commands.add_parser(
        "fill",
        help="update the answers in notebook files",
        description="Write the current answers into notebook files, as a save in JupyterLab would: the newest retries,"
        " in place, and nothing else. Asks a running server, otherwise reads the database. The exit status is 1 if a"
        " file could not be read or written, with --check if a file is not up to date, and with --wait if a job still"
        " runs.",
    )
    fill.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK", help="path of a notebook")
    fill.add_argument("--check", action="store_true", help="write nothing, and report files that are not up to date")
    fill.add_argument(
        "--wait",
        nargs="?",
        type=_seconds,
        const=math.inf,
        metavar="SECONDS",
        help="wait for running jobs, at most so long",
    )
    fill.add_argument("--database", type=Path, help="read only this database")
    fill.set_defaults(run=run_fill)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return seconds


def run_fill(options: argparse.Namespace) -> int:
    """Fill the notebooks and return the exit status."""
    from .command import fill

    return fill(options.notebooks, check=options.check, wait=options.wait, database=options.database)
