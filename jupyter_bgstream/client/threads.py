"""Threads: conversations on the server, which any notebook, kernel or script can continue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ..core.errors import InvalidRequestError, NotFoundError
from ..core.schemas.jobs import JobInfo
from ..core.schemas.messages import ThreadMessageInfo
from ..core.schemas.threads import ThreadInfo
from ..core.terminal_text import visible_line
from .default_connection import default_background
from .job_handle import Job
from .job_table import duration
from .jobs_api import submit
from .status_labels import status_label
from .text_table import Table, cut, grid

if TYPE_CHECKING:
    from .rest_client import Api

_PAGE = 500  # jobs of a request; the server allows no more
_WORDS = 48  # characters of a title
_HEADINGS = ("thread", "status", "model", "last prompt", "forked from", "turns", "last used")
_NUMBERS = 5  # from this column on


class Thread:
    """Thread on the server, by its name; it begins with its first job.

    All properties and methods ask the server, and raise NotFoundError if there is no such thread (``jobs`` is empty).

    >>> talk = bg.thread("talk")
    >>> talk.submit("My name is Ada.", model="demo/echo").wait().thread
    'talk'
    >>> [message["role"] for message in talk.messages]
    ['user', 'assistant']
    >>> talk.fork("another talk").rename("a third talk").delete()
    """

    def __init__(self, name: str, info: ThreadInfo | None = None) -> None:
        if not isinstance(name, str) or not 1 <= len(name) <= 200:
            raise InvalidRequestError("The name of a thread must be a text of 1 to 200 characters.", field="thread")
        self.name = name
        self._info = info  # as in the list that it comes from

    @property
    def jobs(self) -> list[Job]:
        """Ask for the jobs, oldest first."""
        infos = default_background.run(lambda api: _jobs(api, self.name))
        return [Job(info, default_background) for info in reversed(infos)]

    @property
    def messages(self) -> list[ThreadMessageInfo]:
        """Ask for the messages that the next job will send: ``role``, ``content``, ``job`` (an id) and ``status``.

        A job that has not ended only has its prompt. Images in a content have their size, not their data.
        """
        return default_background.run(lambda api: api.thread_messages(self.name)).messages

    @property
    def status(self) -> str:
        """Ask for the status of the oldest job that has not ended, otherwise of the last job."""
        return self._now().status

    @property
    def forked_from(self) -> str | None:
        """Ask for the name of the thread that this one was forked from, if that thread still exists."""
        return self._now().forked_from

    def submit(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Job:
        """Submit the next job; takes the arguments of ``submit`` except ``thread``. Jobs of a thread run in order."""
        return submit(prompt, thread=self.name, **options)

    def fork(self, name: str, after: Job | str | None = None) -> Thread:
        """Start another thread with the messages of this one; later changes of one do not affect the other.

        Args:
            name: name of the new thread.
            after: last job whose messages are copied, a handle or an id; default: all.

        Raises:
            ConflictError: the name is taken, the job has not ended (code ``not_ended``), or there are no messages.

        """
        job = after.id if isinstance(after, Job) else after
        info = default_background.run(lambda api: api.fork_thread(self.name, name, job))
        return Thread(info.name, info)

    def rename(self, name: str) -> Thread:
        """Rename the thread, also while its jobs run; raises ConflictError if the name is taken."""
        self._info = default_background.run(lambda api: api.rename_thread(self.name, name))
        self.name = name
        return self

    def delete(self) -> None:
        """Cancel and delete all jobs of the thread; its forks stay."""
        default_background.run(lambda api: api.delete_thread(self.name))
        self._info = None

    def _now(self) -> ThreadInfo:
        found = default_background.run(lambda api: api.threads(thread=self.name)).threads
        if not found:
            raise NotFoundError(f"There is no thread {self.name!r}.")
        self._info = found[0]
        return self._info

    def __repr__(self) -> str:
        info = self._info
        if info is None:
            return f"<Thread {self.name!r}>"
        turns = "1 turn" if info.jobs == 1 else f"{info.jobs:,} turns"
        origin = f", forked from {info.forked_from!r}" if info.forked_from else ""
        return visible_line(f"<Thread {self.name!r} {turns}, {info.status}, {info.model}{origin}>")


class Threads(Table, Sequence[Thread]):
    """Threads as the server listed them, the last used first; displays as a table.

    >>> asked = bg.submit("Hi.", model="demo/echo", thread="hellos").wait()
    >>> bg.threads()[0].name
    'hellos'
    """

    def __init__(self, infos: Sequence[ThreadInfo], *, more: bool = False) -> None:
        self._infos = tuple(infos)
        self._more = more  # whether the server has more threads

    @overload
    def __getitem__(self, index: int) -> Thread: ...
    @overload
    def __getitem__(self, index: slice) -> Threads: ...
    def __getitem__(self, index: int | slice) -> Thread | Threads:
        if isinstance(index, slice):
            return Threads(self._infos[index])
        info = self._infos[index]
        return Thread(info.name, info)

    def __len__(self) -> int:
        return len(self._infos)

    def __iter__(self) -> Iterator[Thread]:
        return (Thread(info.name, info) for info in self._infos)

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        now = time.time()
        notes = ["There are more threads: threads(limit=…)."] if self._more else []
        empty = "No threads yet. Use --thread NAME, or thread=…, to start one."
        return grid(_HEADINGS, [_row(info, now) for info in self._infos], numbers=_NUMBERS, notes=notes, empty=empty)


def thread(name: str) -> Thread:
    """Return a thread by its name, also before its first job; asks nothing.

    >>> bg.thread("not begun").jobs
    []
    """
    return Thread(name)


def threads(*, limit: int = 50) -> Threads:
    """List threads, the one with the newest job or fork first, at most ``limit`` (1 to 500).

    >>> asked = bg.submit("Hi.", model="demo/echo", thread="hellos").wait()
    >>> bg.threads(limit=1)
    thread...status...model...
    hellos...Done...demo/echo...Hi....
    """
    page = default_background.run(lambda api: api.threads(limit=limit))
    return Threads(page.threads, more=page.next is not None)


async def _jobs(api: Api, name: str) -> list[JobInfo]:
    infos: list[JobInfo] = []
    cursor = None
    while True:
        page = await api.jobs(thread=name, limit=_PAGE, cursor=cursor)
        infos += page.jobs
        if (cursor := page.next) is None:
            return infos


def _row(info: ThreadInfo, now: float) -> tuple[str, ...]:
    words, used = cut(info.title, _WORDS), f"{duration(now - info.updated_at)} ago"
    return info.name, status_label(info.status), info.model, words, info.forked_from or "", f"{info.jobs:,}", used
