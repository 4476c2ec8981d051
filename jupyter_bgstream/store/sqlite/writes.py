"""What can be done to the database: operations on one transaction under way."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from ...core.errors import NotFound
from ...core.events import Attempt, Delta, Event, Source, ToolCall, Usage
from ...core.job import Job, Message
from ...core.wire import encode
from .. import rules
from ..base import Change
from . import reads
from .queries import QUERIES
from .rows import columns_of, job_of, place_of, places_of

REMEMBERED_DELETIONS = 10_000

_QUIET: frozenset[type[Event]] = frozenset({Delta, Usage, Source, ToolCall})


def is_quiet(events: Sequence[Event]) -> bool:
    """Whether events only add to the log of a running job and leave its state as it is."""
    return _QUIET.issuperset(map(type, events))


class Transaction:
    """One transaction and what it will tell when it is committed.

    Each operation checks first and raises before it writes anything, so that a refused one does not hurt those that
    share the transaction with it.
    """

    def __init__(self, db: sqlite3.Connection, rev: int) -> None:
        self.rev = rev
        self.changes: list[Change] = []
        self._db = db

    def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        """Store a new job; raises Conflict, QueueFull."""
        try:
            _, existing = reads.find_job(self._db, job.owner, job.id)
        except NotFound:
            pass
        else:
            rules.check_same_request(existing, job)
            return existing, False
        (unfinished,) = self._one("count_unfinished", owner=job.owner)
        rules.check_room(unfinished, max_queued)
        before = self._one("newest_of_thread", owner=job.owner, thread=job.spec.thread)
        step = rules.submitted(job, previous=before["id"] if before else None)
        columns = columns_of(step.job)
        n = self._do("insert_job", **columns, rev=self.rev).lastrowid
        assert n is not None  # an INSERT has one
        self._do("insert_asked", **columns, n=n)
        self._insert_events(n, step.job.seq, step.events)
        self.changes.append(step.change)
        return step.job, True

    def claim(self, *, server: str, limit: int, attempt: Attempt) -> list[Job]:
        """Begin an attempt of the jobs that are ready."""
        rows = self._do("ready_jobs", server=server, limit=limit, at=attempt.at).fetchall()
        steps = [(row["n"], rules.claimed(job_of(row), attempt)) for row in rows]
        for n, step in steps:
            self._take(n, step)
        return [step.job for _, step in steps]

    def freeze(self, job: Job, history: tuple[Message, ...]) -> Job:
        """Store the conversation before a job; raises Fenced."""
        n, now = self._held(job)
        self._do("update_history", n=n, history=encode(history))
        return msgspec.structs.replace(now, history=history)

    def append(self, job: Job, events: Sequence[Event], *, preview: str | None) -> int:
        """Let a job's log grow; returns its tail. Raises Fenced, IllegalEvent."""
        head = self._one("job_head", owner=job.owner, id=job.id)
        if head is None:
            raise rules.gone(job)
        n, log, status, seq, attempt, fence = head
        if status != "running" or not is_quiet(events):
            n, now = self._held(job)
            step = rules.appended(now, events, preview=preview)
            self._take(n, step)
            return step.job.seq
        # The short way, for all but a few appends: neither the spec nor the history is read or written.
        rules.check_held(job, log=log, fence=fence, status=status)
        encoded = rules.numbered(events, after=seq, attempt=attempt)
        usage = next((encode(event) for event in reversed(events) if isinstance(event, Usage)), None)
        tail = int(seq) + len(encoded)
        self._insert_events(n, tail, encoded)
        self._do("grow_job", n=n, seq=tail, rev=self.rev, preview=preview, usage=usage)
        self.changes.append(Change(kind="events", owner=job.owner, job=job.id, status=status, seq=tail, events=encoded))
        return tail

    def end(self, owner: str, job_id: str, event: Event, *, fence: int | None, log: str | None) -> tuple[Job, bool]:
        """End a job and write its notice, once; raises NotFound, Fenced, IllegalEvent."""
        n, job = reads.find_job(self._db, owner, job_id)
        step = rules.ended(job, event, fence=fence, log=log)
        if step is None:
            return job, False
        self._take(n, step)
        return step.job, True

    def delete(self, owner: str, job_id: str) -> None:
        """Forget an ended job, and close the gap in its thread; raises NotFound, Conflict."""
        n, job = reads.find_job(self._db, owner, job_id)
        rules.check_deletable(job)
        self._do("delete_marks_of_job", owner=owner, id=job_id)
        self._do("delete_notices_of_job", owner=owner, id=job_id)
        self._do("delete_events", **places_of(n))
        self._do("delete_asked", n=n)
        self._do("delete_job", n=n)
        self._do("inherit", owner=owner, id=job_id, previous=job.previous)
        newest = self._do("insert_deleted", owner=owner, id=job_id, rev=self.rev).lastrowid
        self._do("forget_deleted", newest=newest, kept=REMEMBERED_DELETIONS)
        self.changes.append(Change(kind="deleted", owner=owner, job=job_id))

    def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        """Mark a viewer's notices read; None means all."""
        if ids is None:
            unread = self._do("unread_notices", owner=owner, viewer=viewer)
        else:
            unread = self._do("unread_notices_among", owner=owner, viewer=viewer, ids=encode(ids).decode())
        self._read(unread.fetchall(), owner, viewer, at)

    def seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        """Mark the notice of an ended job read if its end was seen; raises NotFound."""
        _, job = reads.find_job(self._db, owner, job_id)
        if job.ended and seq >= job.seq:
            unread = self._do("unread_notices_of_job", owner=owner, viewer=viewer, id=job_id)
            self._read(unread.fetchall(), owner, viewer, at)

    def dismiss(self, owner: str, viewer: str, notice_id: str) -> None:
        """Take a notice out of a viewer's inbox; raises NotFound."""
        notice = self._one("shown_notice", owner=owner, viewer=viewer, id=notice_id)
        if notice is None:
            raise rules.no_such_notice(notice_id)
        self._do("mark_dismissed", n=notice["n"], viewer=viewer)
        self._tell_notice(owner, notice)

    def finish(self) -> None:
        """Write this transaction's number, if there is something to tell."""
        if self.changes:
            self._do("set_revision", rev=self.rev)

    def _held(self, job: Job) -> tuple[int, Job]:
        try:
            n, now = reads.find_job(self._db, job.owner, job.id)
        except NotFound:
            raise rules.gone(job) from None
        rules.check_held(job, log=now.log, fence=now.fence, status=now.status)
        return n, now

    def _take(self, n: int, step: rules.Step) -> None:
        job, notice = step.job, step.notice
        self._do("update_job", **columns_of(job), n=n, rev=self.rev)
        self._insert_events(n, job.seq, step.events)
        self.changes.append(step.change)
        if notice is not None:
            columns = {"owner": notice.owner, "id": notice.id, "job": notice.job, "body": encode(notice)}
            self._do("insert_notice", **columns, rev=self.rev)
            self.changes.append(Change(kind="notice", owner=notice.owner, job=notice.job))

    def _insert_events(self, n: int, tail: int, encoded: Sequence[bytes]) -> None:
        if encoded:
            body, first = b"\n".join(encoded), tail - len(encoded) + 1
            self._do("insert_events", place=place_of(n, tail), first=first, body=body)

    def _read(self, notices: Sequence[sqlite3.Row], owner: str, viewer: str, at: float) -> None:
        for notice in notices:
            self._do("mark_read", n=notice["n"], viewer=viewer, at=at)
            self._tell_notice(owner, notice)

    def _tell_notice(self, owner: str, notice: sqlite3.Row) -> None:
        self._do("touch_notice", n=notice["n"], rev=self.rev)
        self.changes.append(Change(kind="notice", owner=owner, job=notice["job"]))

    def _do(self, name: str, **values: Any) -> sqlite3.Cursor:
        return self._db.execute(QUERIES[name], values)

    def _one(self, name: str, **values: Any) -> Any:
        return self._do(name, **values).fetchone()
