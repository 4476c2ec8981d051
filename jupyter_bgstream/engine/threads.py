"""Conversations by their names: listed, read, forked, renamed and deleted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ..core.errors import ConflictError, NotFoundError
from ..core.events import Cancelled
from ..core.job import Job
from ..core.messages import Message
from ..core.state import Status
from ..core.threads import Conversation, Fork, Thread
from ..store.base import JobFilter, Store
from ..store.threads import no_such_thread
from .clock import Clock
from .history import said_before, said_until

TRIES = 5  # of a reading under which turns are deleted


class HistoryTurn(NamedTuple):
    """One message of a conversation."""

    message: Message
    job: str | None  # whose it is; None if that is gone, or not known
    status: Status  # of that job: completed, or not ended yet


class Threads:
    """One server's care for conversations. ``stop`` closes the socket of a job that was cancelled."""

    def __init__(self, *, store: Store, clock: Clock, stop: Callable[[Job], None]) -> None:
        self._store = store
        self._clock = clock
        self._stop = stop

    async def page(self, owner: str, *, limit: int, after: str | None) -> tuple[list[Thread], str | None]:
        """Return one page of threads, the one with the newest job or fork first, and where the next begins."""
        return await self._store.threads(owner, limit=limit, after=after)

    async def thread(self, owner: str, name: str) -> Thread:
        """Return a thread; raises NotFoundError."""
        return await self._store.thread(owner, name)

    async def messages(self, owner: str, name: str) -> list[HistoryTurn]:
        """Return the conversation as the next job will send it, if all that has not ended yet succeeds.

        Of what has not ended there is only what was asked. Raises NotFoundError.
        """
        await self._store.thread(owner, name)
        said, pending = await self._said(owner, name)
        known = [turn.job for turn in said.turns]
        found, _ = await self._store.jobs(owner, JobFilter(ids=tuple(known), limit=max(1, len(known))))
        there = {job.id for job in found}
        whose = [turn.job if turn.job in there else None for turn in said.turns for _ in range(turn.messages)]
        whose[:0] = [None] * (len(said.messages) - len(whose))
        return [
            *(HistoryTurn(message, job, "completed") for message, job in zip(said.messages, whose, strict=True)),
            *(HistoryTurn(message, job.id, job.status) for job in pending for message in job.spec.messages),
        ]

    async def _said(self, owner: str, name: str) -> tuple[Conversation, list[Job]]:
        # What is whole, and the turns behind it that have not ended, in order.
        for _ in range(TRIES - 1):
            with suppress(NotFoundError):  # a turn was deleted meanwhile
                return await self._read(owner, name)
        return await self._read(owner, name)

    async def _read(self, owner: str, name: str) -> tuple[Conversation, list[Job]]:
        pending: list[Job] = []
        last = await self._store.last_turn(owner, name)
        while last is not None and not last.ended:
            pending.insert(0, last)
            last = None if last.previous is None else await self._store.job(owner, last.previous)
        if last is not None:
            return await said_until(self._store, last), pending
        if pending:
            return await said_before(self._store, pending[0]), pending
        fork = await self._store.fork_of(owner, name)
        if fork is None:
            raise no_such_thread(name)
        return fork.said, pending

    async def fork(self, owner: str, name: str, new: str, *, after: str | None) -> Thread:
        """Begin a thread with what was said in another, up to and including a job, or with all that is whole.

        Raises NotFoundError, and ConflictError if the name is taken, the job has not ended, or nothing was said.
        """
        thread = await self._store.thread(owner, name)
        model, title = thread.model, thread.title
        if after is None:
            said, _ = await self._said(owner, name)
        else:
            job = await self._store.job(owner, after)
            if job.thread == name:
                if not job.ended:
                    raise ConflictError(
                        f"The job {job.id} is {job.status}; a thread can be forked after a job that has ended.",
                        code="not_ended",
                    )
                said = await said_until(self._store, job)
            else:
                said = _cut(await self._said(owner, name), job, name)
            model, title = job.spec.model, job.spec.title
        if not said.messages:
            raise ConflictError(
                f"In the thread {name!r} nothing has been answered up to there: there is nothing to fork."
            )
        now = self._clock.time()
        await self._store.fork(
            Fork(
                owner=owner,
                name=new,
                origin=name,
                model=model,
                title=title,
                said=said,
                created_at=now,
                touched_at=now,
            )
        )
        return await self._store.thread(owner, new)

    async def rename(self, owner: str, name: str, new: str) -> Thread:
        """Call a thread by another name; its jobs go on.

        Raises NotFoundError, and ConflictError if the name is taken.
        """
        await self._store.rename_thread(owner, name, new)
        return await self._store.thread(owner, new)

    async def delete(self, owner: str, name: str) -> None:
        """Cancel and forget all jobs of a thread, and the thread; raises NotFoundError."""
        for job in await self._store.delete_thread(owner, name, Cancelled(at=self._clock.time())):
            self._stop(job)


def _cut(found: tuple[Conversation, list[Job]], job: Job, name: str) -> Conversation:
    # A job of the thread that this one goes on from, whose messages are a part of this one too.
    said, _ = found
    end = len(said.messages) - sum(turn.messages for turn in said.turns)
    for number, turn in enumerate(said.turns, 1):
        end += turn.messages
        if turn.job == job.id:
            return Conversation(messages=said.messages[:end], turns=said.turns[:number])
    raise NotFoundError(f"There is no job {job.id!r} in the thread {name!r}.")
