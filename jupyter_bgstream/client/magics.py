"""``%%bg`` and ``%bg``: background jobs from a notebook cell or an IPython prompt."""

from __future__ import annotations

import argparse
import json
import keyword
import math
import shlex
import time
from pathlib import Path
from typing import Any, NoReturn, get_args

from IPython.core.interactiveshell import InteractiveShell

from ..core.errors import BgStreamError
from ..core.job import OnRestart, Priority, Retries
from .costs import KEYS, cost_table
from .handle import Job
from .listing import SHORT, table
from .session import costs, job_forms, models, submit
from .session import job as find

_SHOWN = 30  # jobs in the table
_SEARCHED = 500  # newest jobs among which the beginning of an id is looked up

HELP = """\
%%bg [MODEL] [--thread NAME] [--name VARIABLE] [further options]
    Send the cell's text to a model in the background. The kernel is free at
    once; the answer comes in the cell's output, and goes on when the
    notebook, the browser or the kernel is gone.
      MODEL            provider/name, else the server's default
      --thread NAME    go on with the conversation of this name
      --name VARIABLE  keep a handle: VARIABLE.text, .wait(), .cancel()
      --image IMAGE    show it a picture: an expression (a figure, an image,
                       bytes) or a file's path; may be given several times
      --system TEXT    what the model is told beforehand
      --param K=VALUE  max_tokens=500, temperature=0, reasoning_effort=low, …;
                       the value is JSON, else a text; may be given several times
      --on-restart retry   when the server dies, ask again (else: interrupt)
      --retries always     ask again also after an answer that broke off
                           (else: before_first_token; or never)
      --priority batch     after all that somebody waits for (else: interactive)
      --idle-timeout 300   seconds for which the provider may be silent
%bg, %bg list          list the newest jobs
%bg cancel JOB         stop a job: its id, the beginning of it, or its variable
%bg retry JOB          ask the same again, once the job has ended
%bg cost [day]         what jobs cost: by day, model, thread, notebook or group
%bg models [PROVIDER]  what can be asked, of one provider or of all
%bg help               show this"""


class MagicError(Exception):
    """What a user reads instead of a traceback: one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class BackgroundMagics:
    """The magics of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def start(self, line: str, cell: str) -> None:
        """Send the cell's text to a model in the background. ``%bg help`` says more."""
        options = _options(line)
        if not cell.strip():
            raise MagicError("There is nothing to send: write the prompt below the line with %%bg.")
        try:
            job = submit(
                cell.removesuffix("\n"),
                images=[self._picture(image) for image in options.image],
                system=options.system,
                params=dict(options.param),
                model=options.model,
                thread=options.thread,
                on_restart=options.on_restart,
                retries=options.retries,
                priority=options.priority,
                idle_timeout=options.idle_timeout,
            )
        except BgStreamError as error:
            raise MagicError(error.message) from None
        if options.name:
            self._shell.user_ns[options.name] = job
        # One display, never updated: what the page shows from here on comes from the log, not from this kernel.
        self._shell.display_pub.publish(job.placeholder())

    def manage(self, line: str) -> None:
        """List background jobs, cancel one or ask one again. ``%bg help`` says more."""
        try:
            match line.split():
                case [] | ["list"]:
                    self._shell.display_pub.publish(table(job_forms(limit=_SHOWN), time.time()))
                case ["cost", *keys] if len(keys) < 2:
                    by = next((key for key in KEYS if [key] == (keys or ["day"])), None)
                    if by is None:
                        raise MagicError(f"%bg cost adds up by {', '.join(KEYS)}, not by {keys[0]}.")
                    self._shell.display_pub.publish(cost_table(costs(by), by))
                case ["models", *names] if len(names) < 2:
                    self._shell.display_pub.publish(models(*names).bundle())
                case ["help"]:
                    print(HELP)  # noqa: T201
                case ["cancel" | "retry" as verb]:
                    raise MagicError(f"Which one? %bg {verb} takes a job's id, the beginning of it, or its variable.")
                case ["cancel", which]:
                    job = self._named(which).cancel()
                    print(f"Job {job.id[:SHORT]} is {job.status}.")  # noqa: T201
                case ["retry", which]:
                    self._shell.display_pub.publish(self._named(which).retry().placeholder())
                case _:
                    raise MagicError(
                        f"There is no '%bg {line}': try %bg, %bg cancel JOB, %bg retry JOB, %bg models or %bg help."
                    )
        except BgStreamError as error:
            raise MagicError(error.message) from None

    def _picture(self, expression: str) -> Any:
        namespace = self._shell.user_ns
        try:
            # The user's own code, as in any cell.
            return eval(expression, self._shell.user_global_ns, namespace)  # noqa: S307
        except Exception as error:
            if Path(expression).expanduser().is_file():
                return expression
            words = " ".join(str(error).split()).rstrip(".")
            raise MagicError(
                f"--image {expression} is neither a file here nor an expression: {type(error).__name__}: {words}."
            ) from None

    def _named(self, which: str) -> Job:
        held = self._shell.user_ns.get(which)
        if isinstance(held, Job):
            return held
        found = [form.id for form in job_forms(limit=_SEARCHED) if form.id.startswith(which)]
        if len(found) > 1 and which not in found:
            raise MagicError(f"{len(found)} jobs begin with {which}: give more of the id.")
        # One that is older than those searched is still found by its whole id.
        return find(found[0] if len(found) == 1 else which)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MagicError(f"%%bg: {message}; %bg help shows what there is.")


def _options(line: str) -> argparse.Namespace:
    parser = _Parser(prog="%%bg", add_help=False, allow_abbrev=False)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--thread")
    parser.add_argument("--name", type=_variable)
    parser.add_argument("--image", action="append", default=[])
    parser.add_argument("--system")
    parser.add_argument("--param", action="append", default=[], type=_param)
    parser.add_argument("--on-restart", choices=get_args(OnRestart))
    parser.add_argument("--retries", choices=get_args(Retries))
    parser.add_argument("--priority", choices=get_args(Priority))
    parser.add_argument("--idle-timeout", type=_seconds)
    try:
        words = shlex.split(line)
    except ValueError as error:
        parser.error(str(error).lower())
    return parser.parse_args(words)


def _variable(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise argparse.ArgumentTypeError(f"{name!r} is not the name of a variable")
    return name


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=str)  # NaN and its kin are no JSON
    except (ValueError, RecursionError):
        return name, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def load(shell: InteractiveShell) -> None:
    """Register the magics."""
    magics = BackgroundMagics(shell)
    shell.magics_manager.register_function(magics.start, "cell", "bg")
    shell.magics_manager.register_function(magics.manage, "line", "bg")
