"""``%bg``: list, show, wait for, cancel, retry and delete jobs."""

import difflib
import keyword
import shlex
import time
from collections.abc import Callable, Sequence
from typing import get_args

from IPython.core.interactiveshell import InteractiveShell

from ...core.errors import BgStreamError
from ..costs import KEYS
from ..display_updates import publish
from ..job_display import JobsDisplay
from ..job_handle import Job
from ..job_table import short, table
from ..jobs_api import State, costs, list_jobs, models, paused_batches
from ..status_labels import status_label
from . import threads
from .errors import MagicError
from .help import HELP
from .mute import mute, this_notebook
from .resolve import UNFINISHED, resolve, resolve_one, unfinished
from .show import details
from .wait import detaching, wait

STATES: tuple[State, ...] = get_args(State)
_SHOWN = 30  # jobs in the table
_SYNONYMS = {"remove": "delete", "rm": "delete", "stop": "cancel"}

Verb = Callable[[list[str]], None]


class LineMagic:
    """Line magic of one shell; ``started`` are the jobs of its cells."""

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
            "delete": self._delete,
            "costs": self._costs,
            "models": self._models,
            "mute": mute,
            "threads": lambda words: threads.manage(self._shell, words),
            "help": lambda _: print(HELP),  # noqa: T201
        }

    @property
    def verbs(self) -> list[str]:
        """Verbs of ``%bg``."""
        return list(self._verbs)

    def manage(self, line: str) -> None:
        """List, show, wait for, cancel, retry or delete background jobs; ``%bg help`` lists the verbs."""
        try:
            words = shlex.split(line) or ["list"]
        except ValueError as error:
            raise MagicError(f"%bg: {str(error).lower()}.") from None
        verb = self._verbs.get(words[0])
        if verb is None:
            raise MagicError(self._unknown(words[0]))
        try:
            verb(words[1:])
        except BgStreamError as error:
            raise MagicError(error.message) from None

    def _unknown(self, word: str) -> str:
        if "/" in word:
            return f"%bg lists and manages jobs. To ask a model, begin a cell with %%bg {word}."
        near = [_SYNONYMS[word]] if word in _SYNONYMS else difflib.get_close_matches(word, self._verbs, n=1)
        if near:
            return f"Unknown verb in '%bg {word}'. Use '%bg {near[0]}'; '%bg help' lists all verbs."
        return f"Unknown verb in '%bg {word}'. Known verbs: {', '.join(self._verbs)}. '%bg help' explains them."

    def _list(self, words: list[str]) -> None:
        query: dict[str, str | None] = {}
        remaining = iter(words)
        for word in remaining:
            if word in STATES:
                query["status"] = word
            elif word == "--here":
                query["notebook"] = this_notebook()
            elif word == "--thread":
                query["thread"] = next(remaining, None)
                if query["thread"] is None:
                    raise MagicError("%bg list --thread needs the name of a thread.")
            else:
                known = ", ".join(STATES)
                raise MagicError(
                    f"Unknown argument {word!r} of %bg list. Use --here, --thread NAME, or one of {known}."
                )
        jobs = list_jobs(limit=_SHOWN, **query)
        self._shell.display_pub.publish(table(jobs, time.time(), paused=paused_batches(jobs)))

    def _details(self, words: list[str]) -> None:
        job = self._one("show", words)
        self._shell.display_pub.publish(details(job.detail(), time.time()))
        self._show(job)

    def _attach(self, words: list[str]) -> None:
        if len(words) == 2:
            name = words[1]
            if not name.isidentifier() or keyword.iskeyword(name):
                raise MagicError(f"{name!r} is not a valid variable name.")
        job = self._one("attach", words[:1], more=len(words) > 2)
        if len(words) == 2:
            self._shell.user_ns[words[1]] = job
        self._show(job)

    def _wait(self, words: list[str]) -> None:
        jobs = self._resolve(words) if words else unfinished(self._started)
        if not jobs:
            print("No job of this kernel is unfinished.")  # noqa: T201
            return
        with detaching(jobs):
            names = ", ".join(short(job.id) for job in jobs)
            print(f"Waiting for {names}. An interrupt detaches; the jobs continue.", flush=True)  # noqa: T201
            wait(jobs)
        self._print_status(jobs)

    def _cancel(self, words: list[str]) -> None:
        jobs = self._some("cancel", words)
        self._print_status([job.cancel() for job in jobs])

    def _retry(self, words: list[str]) -> None:
        for job in [job.retry() for job in self._some("retry", words)]:
            self._show(job)

    def _delete(self, words: list[str]) -> None:
        jobs = self._some("delete", [word for word in words if word != "--force"])
        unfinished_ids = [short(job.id) for job in jobs if job.status in UNFINISHED]
        if unfinished_ids and "--force" not in words:
            raise MagicError(
                f"Nothing was deleted, because {', '.join(unfinished_ids)} did not end yet. Use %bg cancel first, or"
                " --force."
            )
        for job in jobs:
            job.delete()
        print(f"{len(jobs)} job{'s' * (len(jobs) != 1)} deleted.")  # noqa: T201

    def _costs(self, words: list[str]) -> None:
        by = next((key for key in KEYS if [key] == (words or ["day"])), None)
        if by is None:
            raise MagicError(f"Unknown argument {' '.join(words)!r} of %bg costs. Use one of {', '.join(KEYS)}.")
        self._shell.display_pub.publish(costs(by).bundle())

    def _models(self, words: list[str]) -> None:
        if len(words) > 1:
            raise MagicError("%bg models takes at most one provider.")
        self._shell.display_pub.publish(models(*words).bundle())

    def _one(self, verb: str, words: list[str], *, more: bool = False) -> Job:
        if len(words) != 1 or more:
            raise MagicError(f"%bg {verb} needs a job: its id, a prefix of the id, or its variable.")
        return resolve_one(words[0], self._shell.user_ns)

    def _some(self, verb: str, words: list[str]) -> list[Job]:
        if not words:
            raise MagicError(f"%bg {verb} needs a job: its id, a prefix of the id, or its variable.")
        return self._resolve(words)

    def _resolve(self, words: list[str]) -> list[Job]:
        return list(dict.fromkeys(job for word in words for job in resolve(word, self._shell.user_ns)))

    def _show(self, job: Job) -> None:
        job.snapshot(fresh=True)  # so that the text so far is shown even if no page reads the log
        publish(self._shell, JobsDisplay([job]))

    def _print_status(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            print(f"Job {short(job.id)}: {status_label(job.status, job.finish_reason)}.")  # noqa: T201
