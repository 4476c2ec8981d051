"""``%bg``: list, show, wait for, stop, repeat and delete jobs."""

from __future__ import annotations

import keyword
import shlex
import time
from collections.abc import Callable, Sequence
from typing import get_args

from IPython.core.interactiveshell import InteractiveShell

from ...core.errors import BgStreamError
from ..costs import KEYS
from ..display_updates import publish
from ..job_handle import Job
from ..job_table import short, table
from ..session import State, costs, list_jobs, models, paused_groups
from . import threads
from .errors import MagicError
from .help import HELP
from .mute import mute, this_notebook
from .resolve import UNFINISHED, named, one, unfinished
from .show import details
from .wait import detaching, wait

STATES: tuple[State, ...] = get_args(State)
_SHOWN = 30  # jobs in the table

Verb = Callable[[list[str]], None]


class LineMagic:
    """The line magic of one shell; ``started`` are the jobs of its cells."""

    def __init__(self, shell: InteractiveShell, started: Sequence[Job]) -> None:
        self._shell = shell
        self._started = started
        self._verbs: dict[str, Verb] = {
            "list": self._list,
            "show": self._details,
            "attach": self._attach,
            "wait": self._wait,
            "cancel": self._cancel,
            "retry": self._retry,
            "rm": self._remove,
            "cost": self._costs,
            "models": self._models,
            "mute": mute,
            "threads": lambda words: threads.manage(self._shell, words),
            "help": lambda _: print(HELP),  # noqa: T201
        }

    @property
    def verbs(self) -> list[str]:
        """What ``%bg`` does."""
        return list(self._verbs)

    def manage(self, line: str) -> None:
        """List background jobs, show one, wait for it, cancel it or ask it again. ``%bg help`` says more."""
        try:
            words = shlex.split(line) or ["list"]
        except ValueError as error:
            raise MagicError(f"%bg: {str(error).lower()}.") from None
        verb = self._verbs.get(words[0])
        if verb is None and "/" in words[0]:
            raise MagicError(f"%bg lists and manages jobs: to ask a model, begin a cell with %%bg {words[0]}.")
        if verb is None:
            raise MagicError(f"There is no '%bg {words[0]}': there are {', '.join(self._verbs)}; %bg help says more.")
        try:
            verb(words[1:])
        except BgStreamError as error:
            raise MagicError(error.message) from None

    def _list(self, words: list[str]) -> None:
        asked: dict[str, str | None] = {}
        left = iter(words)
        for word in left:
            if word in STATES:
                asked["status"] = word
            elif word == "--here":
                asked["notebook"] = this_notebook()
            elif word == "--thread":
                asked["thread"] = next(left, None)
                if asked["thread"] is None:
                    raise MagicError("%bg list --thread takes the name of a thread.")
            else:
                known = ", ".join(STATES)
                raise MagicError(f"%bg list takes --here, --thread NAME, or one of {known}, and not {word}.")
        jobs = list_jobs(limit=_SHOWN, **asked)
        self._shell.display_pub.publish(table(jobs, time.time(), paused=paused_groups(jobs)))

    def _details(self, words: list[str]) -> None:
        job = self._one("show", words)
        self._shell.display_pub.publish(details(job.detail(), time.time()))
        self._show(job)

    def _attach(self, words: list[str]) -> None:
        if len(words) == 2:
            name = words[1]
            if not name.isidentifier() or keyword.iskeyword(name):
                raise MagicError(f"{name!r} is not the name of a variable.")
        job = self._one("attach", words[:1], more=len(words) > 2)
        if len(words) == 2:
            self._shell.user_ns[words[1]] = job
        self._show(job)

    def _wait(self, words: list[str]) -> None:
        jobs = self._meant(words) if words else unfinished(self._started)
        if not jobs:
            print("No job of this kernel goes on.")  # noqa: T201
            return
        with detaching(jobs):
            names = ", ".join(short(job.id) for job in jobs)
            print(f"Waiting for {names}. An interrupt ends the waiting only.", flush=True)  # noqa: T201
            wait(jobs)
        self._say(jobs)

    def _cancel(self, words: list[str]) -> None:
        jobs = self._some("cancel", words)
        self._say([job.cancel() for job in jobs])

    def _retry(self, words: list[str]) -> None:
        for job in [job.retry() for job in self._some("retry", words)]:
            self._show(job)

    def _remove(self, words: list[str]) -> None:
        jobs = self._some("rm", [word for word in words if word != "--force"])
        going = [short(job.id) for job in jobs if job.status in UNFINISHED]
        if going and "--force" not in words:
            raise MagicError(
                f"Nothing was deleted: {', '.join(going)} did not end yet; %bg cancel stops, --force deletes anyway."
            )
        for job in jobs:
            job.delete()
        print(f"{len(jobs)} job{'s' * (len(jobs) != 1)} deleted.")  # noqa: T201

    def _costs(self, words: list[str]) -> None:
        by = next((key for key in KEYS if [key] == (words or ["day"])), None)
        if by is None:
            raise MagicError(f"%bg cost adds up by {', '.join(KEYS)}, not by {' '.join(words)}.")
        self._shell.display_pub.publish(costs(by).bundle())

    def _models(self, words: list[str]) -> None:
        if len(words) > 1:
            raise MagicError("%bg models takes one provider, or none.")
        self._shell.display_pub.publish(models(*words).bundle())

    def _one(self, verb: str, words: list[str], *, more: bool = False) -> Job:
        if len(words) != 1 or more:
            raise MagicError(f"Which one? %bg {verb} takes a job's id, the beginning of it, or its variable.")
        return one(words[0], self._shell.user_ns)

    def _some(self, verb: str, words: list[str]) -> list[Job]:
        if not words:
            raise MagicError(f"Which one? %bg {verb} takes a job's id, the beginning of it, or its variable.")
        return self._meant(words)

    def _meant(self, words: list[str]) -> list[Job]:
        return list(dict.fromkeys(job for word in words for job in named(word, self._shell.user_ns)))

    def _show(self, job: Job) -> None:
        job.snapshot(fresh=True)  # what it has said by now is there also where nobody reads the log
        publish(self._shell, [job])

    def _say(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            print(f"Job {short(job.id)} is {job.status}.")  # noqa: T201
