"""Threads: list, read, fork, rename and delete named conversations."""

from contextlib import suppress
from typing import NamedTuple

from ..core.errors import ConflictError, NotFoundError
from ..core.events import Cancelled
from ..core.job import Job
from ..core.messages import Message
from ..core.schemas.threads import ThreadInfo
from ..core.state import Status
from ..core.threads import Conversation, Fork
from ..store.port_values import JobFilter
from ..store.threads import no_such_thread
from .context import EngineContext, EnginePart
from .conversation_history import history_before, history_until
from .scheduler import Scheduler

MAX_READS = 5  # of a thread whose turns are deleted meanwhile


class HistoryTurn(NamedTuple):
    """One message of a conversation."""

    message: Message
    job: str | None  # id of its job; None if that was deleted or is unknown
    status: Status  # of that job: completed, or not ended yet


class Threads(EnginePart):
    """The threads of all owners; a thread of another owner is a NotFoundError."""

    def __init__(self, context: EngineContext, scheduler: Scheduler) -> None:
        super().__init__(context)
        self._scheduler = scheduler

    async def page(self, owner: str, *, limit: int, after: str | None) -> tuple[list[ThreadInfo], str | None]:
        """Return one page of threads, the one with the newest job or fork first, and the cursor of the next."""
        return await self._store.threads(owner, limit=limit, after=after)

    async def get(self, owner: str, name: str) -> ThreadInfo:
        """Return a thread; raise NotFoundError."""
        return await self._store.thread(owner, name)

    async def messages(self, owner: str, name: str) -> list[HistoryTurn]:
        """Return the conversation as the next job will send it, if all unfinished jobs complete.

        Unfinished jobs have only their prompts in it. Raises NotFoundError.
        """
        await self._store.thread(owner, name)
        history, pending = await self._history(owner, name)
        ids = [turn.job for turn in history.turns]
        found, _ = await self._store.jobs(owner, JobFilter(ids=tuple(ids), limit=max(1, len(ids))))
        stored = {job.id for job in found}
        jobs = [turn.job if turn.job in stored else None for turn in history.turns for _ in range(turn.messages)]
        jobs[:0] = [None] * (len(history.messages) - len(jobs))
        return [
            *(HistoryTurn(message, job, "completed") for message, job in zip(history.messages, jobs, strict=True)),
            *(HistoryTurn(message, job.id, job.status) for job in pending for message in job.spec.messages),
        ]

    async def _history(self, owner: str, name: str) -> tuple[Conversation, list[Job]]:
        # The completed turns, and the unfinished jobs after them, in order.
        for _ in range(MAX_READS - 1):
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
            return await history_until(self._store, last), pending
        if pending:
            return await history_before(self._store, pending[0]), pending
        fork = await self._store.fork_of(owner, name)
        if fork is None:
            raise no_such_thread(name)
        return fork.conversation, pending

    async def fork(self, owner: str, name: str, new: str, *, after: str | None) -> ThreadInfo:
        """Start a thread with the history of another, up to and including a job, or with all completed turns.

        Raises:
            NotFoundError: there is no such thread, or the job is not in it.
            ConflictError: the name is taken, the job has not ended, or there is no completed turn.

        """
        thread = await self._store.thread(owner, name)
        model, title = thread.model, thread.title
        if after is None:
            history, _ = await self._history(owner, name)
        else:
            job = await self._store.job(owner, after)
            if job.thread == name:
                if not job.ended:
                    raise ConflictError(
                        f"The job {job.id} is {job.status}. A thread can be forked after an ended job only.",
                        code="not_ended",
                    )
                history = await history_until(self._store, job)
            else:
                history, _ = await self._history(owner, name)
                history = _cut(history, job, name)
            model, title = job.spec.model, job.spec.title
        if not history.messages:
            raise ConflictError(f"The thread {name!r} has no completed answer up to there, so it cannot be forked.")
        now = self._clock.time()
        await self._store.fork(
            Fork(
                owner=owner,
                name=new,
                origin=name,
                model=model,
                title=title,
                conversation=history,
                created_at=now,
                touched_at=now,
            )
        )
        return await self._store.thread(owner, new)

    async def rename(self, owner: str, name: str, new: str) -> ThreadInfo:
        """Rename a thread; its jobs continue.

        Raises:
            NotFoundError: there is no such thread.
            ConflictError: the name is taken.

        """
        await self._store.rename_thread(owner, name, new)
        return await self._store.thread(owner, new)

    async def delete(self, owner: str, name: str) -> None:
        """Cancel and delete all jobs of a thread, and the thread; raise NotFoundError."""
        for job in await self._store.delete_thread(owner, name, Cancelled(at=self._clock.time())):
            self._scheduler.stop(job)


def _cut(history: Conversation, job: Job, name: str) -> Conversation:
    # Up to a job of the origin of this fork, whose messages are a part of this thread too.
    end = len(history.messages) - sum(turn.messages for turn in history.turns)
    for number, turn in enumerate(history.turns, 1):
        end += turn.messages
        if turn.job == job.id:
            return Conversation(messages=history.messages[:end], turns=history.turns[:number])
    raise NotFoundError(f"There is no job {job.id!r} in the thread {name!r}.")
