"""Fill notebooks one after the other, and print the result of each."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import BgStreamError
from ...core.terminal_text import visible_line
from .lookup import Lookup, opened
from .notebook_file import BadFileError, Notebook, read_notebook, replace_notebook
from .outputs import Data, Known, batch_of, job_outputs, jobs_of, refreshed, write

_ATTEMPTS = 5  # to replace a file that another program keeps writing


def fill(paths: Sequence[Path], *, check: bool, wait: float | None, database: Path | None) -> int:
    """Fill notebooks and return the exit status; ``wait`` in seconds, None: do not wait."""
    try:
        return asyncio.run(_fill(paths, check=check, wait=wait, database=database))
    except BgStreamError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Each notebook is either filled or unchanged.", file=sys.stderr)
        return 130


async def _fill(paths: Sequence[Path], *, check: bool, wait: float | None, database: Path | None) -> int:
    status = 0
    good: dict[Path, Notebook] = {}
    for path in dict.fromkeys(paths):
        try:
            good[path] = read_notebook(path)
        except BadFileError as error:
            print(visible_line(f"{path}: {error}."), file=sys.stderr)
            status = 1
    outputs = [data for notebook in good.values() for data in job_outputs(notebook.content)]
    if not outputs:
        for path in good:
            print(visible_line(f"{path}: no answers in it."))
        return status
    async with opened(database) as lookup:
        if wait is not None:
            if not lookup.has_server:
                print("No server answers, so that unfinished jobs may not end.", file=sys.stderr)
            await lookup.wait(outputs, wait)
        for path in good:
            try:
                result = await _fill_one(path, lookup, check=check)
            except BadFileError as error:
                print(visible_line(f"{path}: {error}."), file=sys.stderr)
                status = 1
                continue
            print(visible_line(f"{path}: {result.words(check=check)}."))
            if result.unknown:
                # A file may contain anything, also control sequences of terminals.
                unknown = ", ".join(visible_line(id[:70]) for id in sorted(result.unknown))
                print(f"  not found, the saved text stays: {unknown}")
            if (check and result.stale) or (wait is not None and result.running):
                status = 1
    return status


class FillResult:
    """Result of filling one notebook, or of a check."""

    def __init__(self, outputs: Sequence[Data], known: Known) -> None:
        self.outputs = len(outputs)
        self.changes = [(data, fresh) for data in outputs if (fresh := refreshed(data, known))]
        self.answers = sum(batch_of(data) is None for data, _ in self.changes)
        self.running = sum(any(id in known.unfinished for id in _ids(data)) for data in outputs)
        self.unknown = known.unknown

    @property
    def stale(self) -> bool:
        """True if the file is not up to date."""
        return bool(self.changes)

    def words(self, *, check: bool) -> str:
        """Return the result as part of a sentence."""
        batches = len(self.changes) - self.answers
        changed = " and ".join(filter(None, [_count(self.answers, "answer"), _count(batches, "batch", "batches")]))
        parts = [changed and f"{changed} {'not up to date' if check else 'updated'}"]
        parts.append(f"{self.running} still running" if self.running else "")
        parts.append(f"{len(self.unknown)} not found" if self.unknown else "")
        return ", ".join(filter(None, parts)) or ("up to date" if self.outputs else "no answers in it")


async def _fill_one(path: Path, lookup: Lookup, *, check: bool) -> FillResult:
    for _ in range(_ATTEMPTS):
        notebook = read_notebook(path)  # again: it may have been saved meanwhile
        outputs = list(job_outputs(notebook.content))
        result = FillResult(outputs, await lookup.look(outputs))
        if check or not result.stale:
            return result
        for data, fresh in result.changes:
            write(data, fresh, lines=True)
        if replace_notebook(path, notebook):
            return result
    raise BadFileError("another program keeps writing it; nothing was written")


def _ids(data: Data) -> list[str]:
    batch = batch_of(data)
    return [key["id"] for key in ([batch] if batch else jobs_of(data))]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}" if number else ""
