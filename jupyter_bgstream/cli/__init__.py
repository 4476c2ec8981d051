"""Command line interface ``jupyter bgstream``."""

import argparse

from .._version import __version__
from . import demo, doctor, fill, prune, serve


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line with all subcommands."""
    parser = argparse.ArgumentParser(prog="jupyter bgstream", description="LLM jobs in the background of Jupyter.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True)
    for command in (demo, serve, fill, prune, doctor):
        command.add_command(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return the exit code of the process."""
    options = command_parser().parse_args(arguments)
    return int(options.run(options))
