"""``%%bg``: send the text of a cell to one or several models."""

import argparse
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import no_var_expand

from ...core.errors import BgStreamError
from ...core.terminal_text import visible, visible_line
from ..display_updates import publish
from ..file_inputs import File
from ..job_display import JobsDisplay
from ..job_handle import Job
from ..job_list import Comparison
from ..job_table import short
from ..jobs_api import submit
from ..text_table import cut
from ..voila import in_voila
from .errors import MagicError
from .interpolation import Place, fill, places, sentence, value_of
from .options import options
from .wait import detaching, stream, wait

_LISTED = 3  # expressions in one note
_LONGEST = 40  # characters of an expression in a note


class CellMagic:
    """Cell magic of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.started: list[Job] = []

    @no_var_expand  # values with spaces and quotes must not be split into words
    def start(self, line: str, cell: str) -> None:
        """Send the text of the cell to a model in the background; ``%bg help`` lists the options."""
        given = options(line, lambda place: self._value(place, 0), self._shell.user_ns)
        if not cell.strip():
            raise MagicError("The prompt is empty. Write it below the line with %%bg.")
        if given.thread and len(given.models) > 1:
            raise MagicError("--thread takes one model, because a second one would reply to the first answer.")
        prompt = cell.removesuffix("\n")
        found = [] if given.raw else places(prompt, everywhere=given.fill)
        prompt = fill(prompt, found, lambda place: self._value(place, 1))
        for note in self._notes([*given.places, *(place._replace(line=place.line + 1) for place in found)]):
            print(visible_line(note))  # noqa: T201
        jobs, refusals = self._submit(prompt, given)
        if not jobs:
            if in_voila():  # it hides the messages of errors
                self._shell.display_pub.publish({"text/plain": visible(f"Not sent: {_joined(refusals)}")})
            raise MagicError(_joined(refusals))
        self._assign(given, jobs)
        with detaching(jobs) if given.wait else nullcontext():
            if given.wait and getattr(self._shell, "kernel", None) is None:
                stream(jobs)
            else:
                # The display updates itself.
                publish(self._shell, JobsDisplay(jobs, side_by_side=len(given.models) > 1))
                if given.wait:
                    wait(jobs)
                elif getattr(self._shell, "kernel", None) is None:
                    _print_how_to_read(jobs, given.name)
        if refusals:
            raise MagicError(_joined(refusals))

    def _submit(self, prompt: str, given: argparse.Namespace) -> tuple[list[Job], list[str]]:
        images = [self._image(expression) for expression in given.image]
        files = [_file(path) for path in given.file]
        jobs: list[Job] = []
        refusals: list[str] = []
        for model in given.models or [None]:
            try:
                job = submit(
                    prompt,
                    images=images,
                    files=files,
                    system=given.system,
                    params=dict(given.param),
                    model=model,
                    thread=given.thread,
                    on_restart=given.on_restart,
                    retry_policy=given.retry_policy,
                    priority=given.priority,
                    idle_timeout=given.idle_timeout,
                )
            except BgStreamError as error:
                refusals.append(f"{model}: {error.message}" if len(given.models) > 1 else error.message)
            else:
                jobs.append(job)
        return jobs, refusals

    def _assign(self, given: argparse.Namespace, jobs: Sequence[Job]) -> None:
        self.started += jobs
        if given.name:
            self._shell.user_ns[given.name] = Comparison(jobs) if len(given.models) > 1 else jobs[0]

    def _value(self, place: Place, lines_before: int) -> str:
        where = f"on line {place.line + lines_before} of the cell"
        return value_of(place.expression, self._shell.user_ns, where)

    def _notes(self, found: Sequence[Place]) -> Iterable[str]:
        """Yield notes on the expressions that were filled in, and on those that could have been but were not."""
        variables = self._shell.user_ns
        filled = [place.expression.written for place in found if place.filled]
        single = [f"{{{place.expression.written}}}" for place in found if not place.left and not place.filled]
        left = [
            f"{cut(place.expression.written, _LONGEST)} on line {place.line}"
            for place in found
            if place.left and place.expression.names <= variables.keys()
        ]
        if filled:
            yield f"Filled in: {_listed(filled)}."
        if single:
            yield f"Sent with single braces: {_listed(single)}."
        if left:
            yield f"Sent as code, not filled in: {_listed(left)}. Use --fill to fill it in."

    def _image(self, expression: str) -> Any:
        namespace = self._shell.user_ns
        try:
            # The user's own code, as in any cell.
            return eval(expression, self._shell.user_global_ns, namespace)  # noqa: S307
        except Exception as error:
            if Path(expression).expanduser().is_file():
                return expression
            raise MagicError(
                f"--image {expression} is neither an existing file nor a valid expression: {sentence(error)}."
            ) from None


def _file(path: str) -> File:
    try:
        return File(path)
    except BgStreamError as error:
        raise MagicError(error.message) from None


def _print_how_to_read(jobs: Sequence[Job], name: str | None) -> None:
    """Print how to read the answer in a terminal, where nothing is printed later."""
    where = name or " or ".join(f"%bg show {short(job.id)}" for job in jobs)
    print(f"{where} shows the answer so far. Use --wait to print it live.")  # noqa: T201


def _listed(expressions: Sequence[str]) -> str:
    names = list(dict.fromkeys(cut(each, _LONGEST) for each in expressions))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _joined(refusals: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(refusals))
