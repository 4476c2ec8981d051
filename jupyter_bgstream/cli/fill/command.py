"""Fills notebook after notebook, and says of each what became of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import BgStreamError
from ...core.terminal_text import visible_line
from .lookup import Lookup, opened
from .notebook_file import BadFileError, Notebook, read_notebook, replace_notebook
from .outputs import Data, Known, batch_of, jobs_of, places, refreshed, write

_TRIES = 5  # at a file that somebody else keeps writing


def fill(paths: Sequence[Path], *, check: bool, wait: float | None, database: Path | None) -> int:
    """Bring notebooks up to date; returns the exit status. ``wait``: seconds, None for not at all."""
    try:
        return asyncio.run(_fill(paths, check=check, wait=wait, database=database))
    except BgStreamError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: each notebook is filled, or as it was.", file=sys.stderr)
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
    outputs = [data for notebook in good.values() for data in places(notebook.content)]
    if not outputs:
        for path in good:
            print(visible_line(f"{path}: no answers in it."))
        return status
    async with opened(database) as lookup:
        if wait is not None:
            if not lookup.has_server:
                print("No server answers, so that what runs or waits may be for long.", file=sys.stderr)
            await lookup.wait(outputs, wait)
        for path in good:
            try:
                done = await _fill_one(path, lookup, check=check)
            except BadFileError as error:
                print(visible_line(f"{path}: {error}."), file=sys.stderr)
                status = 1
                continue
            print(visible_line(f"{path}: {done.words(check=check)}."))
            if done.unknown:
                # A file may hold anything, and this is a terminal.
                unknown = ", ".join(visible_line(id[:70]) for id in sorted(done.unknown))
                print(f"  unknown here, the saved text stays: {unknown}")
            if (check and done.stale) or (wait is not None and done.running):
                status = 1
    return status


class Done:
    """What became of a notebook, or would."""

    def __init__(self, outputs: Sequence[Data], known: Known) -> None:
        self.outputs = len(outputs)
        self.changes = [(data, fresh) for data in outputs if (fresh := refreshed(data, known))]
        self.answers = sum(batch_of(data) is None for data, _ in self.changes)
        self.running = sum(any(id in known.unfinished for id in _ids(data)) for data in outputs)
        self.unknown = known.unknown

    @property
    def stale(self) -> bool:
        """Whether the file does not say what is known."""
        return bool(self.changes)

    def words(self, *, check: bool) -> str:
        """Say it."""
        batches = len(self.changes) - self.answers
        changed = " and ".join(filter(None, [_count(self.answers, "answer"), _count(batches, "batch", "batches")]))
        said = [changed and f"{changed} {'not' if check else 'brought'} up to date"]
        said.append(f"{self.running} still running" if self.running else "")
        said.append(f"{len(self.unknown)} unknown" if self.unknown else "")
        return ", ".join(filter(None, said)) or ("up to date" if self.outputs else "no answers in it")


async def _fill_one(path: Path, lookup: Lookup, *, check: bool) -> Done:
    for _ in range(_TRIES):
        notebook = read_notebook(path)  # anew: it may have been saved while we waited
        outputs = list(places(notebook.content))
        done = Done(outputs, await lookup.look(outputs))
        if check or not done.stale:
            return done
        for data, fresh in done.changes:
            write(data, fresh, lines=True)
        if replace_notebook(path, notebook):
            return done
    raise BadFileError("somebody else keeps writing it; nothing was written")


def _ids(data: Data) -> list[str]:
    batch = batch_of(data)
    return [key["id"] for key in ([batch] if batch else jobs_of(data))]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}" if number else ""
