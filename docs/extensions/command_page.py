"""The page of the command line, as Markdown, from the parser of the commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

INTRODUCTION = """\
# Commands

This page is generated from the parser of `jupyter bgstream`.
`jupyter bgstream COMMAND --help` prints the same.
"""


def command_page(parser: argparse.ArgumentParser) -> str:
    """Return the page."""
    (commands,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    summaries = {each.dest: each.help for each in commands._choices_actions}
    parts = [INTRODUCTION]
    for name, command in commands.choices.items():
        parts.append("\n".join(_command(name, command, summaries[name] or "")))
    return "\n".join(parts)


def _command(name: str, command: argparse.ArgumentParser, summary: str) -> Iterator[str]:
    yield f"## `jupyter bgstream {name}`\n"
    yield f"{command.description or summary[:1].upper() + summary[1:] + '.'}\n"
    yield "| argument | meaning |\n|---|---|"
    for action in command._actions:
        if not isinstance(action, argparse._HelpAction):
            yield f"| `{_written(action)}` | {(action.help or '') % vars(action)} |"
    yield ""


def _written(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    if not action.option_strings:
        return f"{value} …" if action.nargs == "+" else str(value)
    option = action.option_strings[-1]
    if action.nargs == 0:
        return option
    return f"{option} [{value}]" if action.nargs == "?" else f"{option} {value}"
