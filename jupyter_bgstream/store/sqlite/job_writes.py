"""Write operations on jobs and batches in one transaction."""

from collections.abc import Mapping, Sequence

import msgspec

from ...core.batches import Batch
from ...core.codec import encode
from ...core.errors import BgStreamError, NotFoundError
from ...core.events import Cancelled, Citation, Delta, Event, Image, ToolCall, Usage, Waiting
from ...core.job import Job, Turn
from ...core.messages import Message
from .. import cost_ledger, preconditions, transitions
from ..port_values import IMAGE_CHUNK, Append, Capacity, Change, ExpiredJob, JobRange
from . import claim_selection, maintenance, queries
from .rows import batch_from, columns_of, job_of, place_of, places_of
from .thread_writes import ThreadTransaction

REMEMBERED_DELETIONS = 10_000

_PLAIN: frozenset[type[Event]] = frozenset({Delta, Citation, ToolCall, Image})  # change only the log of a job
_QUIET = _PLAIN | {Usage}


def is_quiet(events: Sequence[Event]) -> bool:
    """Return whether events leave the state of a running job as it is."""
    return _QUIET.issuperset(map(type, events))


class Transaction(ThreadTransaction):
    """One transaction and the changes to publish after its commit.

    Each operation checks first and raises before it writes anything: a refused one does not affect the others in its
    transaction. The ``Store`` protocol documents the operations.
    """

    def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        """Store a new job as queued."""
        try:
            _, existing = queries.find_job(self._db, job.owner, job.id)
        except NotFoundError:
            pass
        else:
            preconditions.check_same_request(existing, job)
            return existing, False
        if job.retry_of is not None:
            return self._submit_again(job, job.retry_of, max_queued=max_queued)
        preconditions.check_room(self._unfinished(job.owner), max_queued)
        if (batch := self._batch(job)) is not None:
            preconditions.check_joins(batch, 1)
            self._put_batch(batch.joined(1))
        return self._insert_behind(job, lane="" if batch is None else batch.id), True

    def _submit_again(self, job: Job, retry_of: str, *, max_queued: int) -> tuple[Job, bool]:
        n, asked = queries.find_job(self._db, job.owner, retry_of)
        preconditions.check_retriable(asked)
        if asked.retried_by is not None:
            return queries.find_job(self._db, job.owner, asked.retried_by)[1], False
        preconditions.check_room(self._unfinished(job.owner), max_queued)
        if (batch := self._batch(asked)) is not None:
            self._put_batch(batch.reopened(asked.status))
            if self._forget_notices(batch.owner, batch.id):  # it is out of date
                self.changes.append(Change(kind="notice", owner=batch.owner, subject=""))
            if batch.paused is not None:
                self._tell_batch(batch)
        job = msgspec.structs.replace(job, root=asked.root or asked.id)
        lane = "" if batch is None else batch.id
        stored = self._insert(job, previous=asked.previous, thread=asked.thread, lane=lane)
        self._do("set_retried_by", n=n, retried_by=job.id, rev=self.rev)
        self.changes.append(transitions.job_change(asked))
        return stored, True

    def _insert_behind(self, job: Job, *, lane: str) -> Job:
        thread = job.spec.thread
        last = None if thread is None else queries.last_turn(self._db, job.owner, thread)
        return self._insert(job, previous=last, thread=thread, lane=lane)

    def _insert(self, job: Job, *, previous: str | None, thread: str | None, lane: str) -> Job:
        step = transitions.submitted(job, previous=previous, thread=thread)
        columns = columns_of(step.job)
        n = self._do("insert_job", **columns, lane=lane, rev=self.rev).lastrowid
        assert n is not None  # an INSERT has one
        self._do("insert_asked", **columns, n=n)
        self._insert_events(n, step.job.seq, step.events)
        self.changes.append(step.change)
        return step.job

    def _unfinished(self, owner: str) -> int:
        (unfinished,) = self._one("count_unfinished", owner=owner)
        return int(unfinished)

    def claim(self, *, server: str, owner: str | None, room: Capacity, limit: int, at: float) -> list[Job]:
        """Begin an attempt of ready jobs that have room."""
        found, batches = claim_selection.choose(self._db, server=server, owner=owner, room=room, limit=limit, at=at)
        steps = [(n, transitions.claimed(job_of(self._one("job_by_n", n=n)), at=at)) for n in found]
        for n, step in steps:
            self._take(n, step)
        for batch in batches:
            self._put_batch(batch.begun(at))
        return [step.job for _, step in steps]

    def adopt(self, job: Job, *, server: str, event: Waiting | None = None) -> Job:
        """Move a job to another server under a new fence."""
        n, now = self._held(job)
        step = transitions.adopted(now, server=server, event=event)
        self._take(n, step)
        return step.job

    def submit_batch(self, batch: Batch, jobs: Sequence[Job], *, max_queued: int) -> Batch:
        """Announce a batch and submit some of its jobs."""
        existing = self._one("batch", owner=batch.owner, id=batch.id)
        if existing is None:
            used = self._one("any_of_batch", owner=batch.owner, id=batch.id) is not None
            preconditions.check_unused(batch, used=used)
        else:
            preconditions.check_same_batch(there := batch_from(existing), batch)
            batch = there.announced(batch.spec)
        new: dict[str, Job] = {}
        for job in jobs:
            try:
                _, known = queries.find_job(self._db, job.owner, job.id)
            except NotFoundError:
                known = new.setdefault(job.id, job)
            preconditions.check_member(batch, known, job)
        preconditions.check_joins(batch, len(new))
        if new:
            preconditions.check_room(self._unfinished(batch.owner) + len(new) - 1, max_queued)
        batch = batch.joined(len(new))
        self._put_batch(batch)
        for job in new.values():
            self._insert_behind(job, lane=batch.id)
        return batch

    def retry_batch(
        self,
        owner: str,
        batch_id: str,
        *,
        server: str,
        at: float,
        limit: int,
        max_queued: int,
        span: JobRange | None,
        submitted_by: str | None = None,
    ) -> JobRange | None:
        """Retry jobs that ended without a whole answer; return the jobs that are left over."""
        queries.find_batch(self._db, owner, batch_id)
        after, upto = span or (0, int(self._one("newest_n")[0]))
        asked = {"owner": owner, "id": batch_id, "after": after, "upto": upto, "limit": limit + 1}
        rows = self._do("unanswered_of_batch", **asked).fetchall()
        for row in rows[:limit]:
            again = transitions.again(job_of(row), server=server, at=at, submitted_by=submitted_by)
            self._submit_again(again, row["id"], max_queued=max_queued)
        return (rows[limit - 1]["n"], upto) if len(rows) > limit else None

    def cancel_batch(self, owner: str, batch_id: str, event: Cancelled, *, limit: int) -> tuple[Batch, list[Job]]:
        """Close a batch and cancel some of its jobs."""
        self._put_batch(self.resume_batch(owner, batch_id).closed(event.at))
        cancelled = []
        for row in self._do("unfinished_of_batch", owner=owner, id=batch_id, limit=limit).fetchall():
            job = job_of(row)
            step = transitions.ended(job, event, fence=None, log=None, batch=self._batch(job))
            assert step is not None  # it has not ended
            self._take(row["n"], msgspec.structs.replace(step, notice=None))
            cancelled.append(step.job)
        return queries.find_batch(self._db, owner, batch_id), cancelled

    def resume_batch(self, owner: str, batch_id: str) -> Batch:
        """Resume a paused batch."""
        batch = queries.find_batch(self._db, owner, batch_id)
        if batch.paused is not None:
            batch = batch.resumed()
            self._put_batch(batch)
            self._forget_notices(owner, batch_id)
            self._tell_batch(batch)
        return batch

    def _tell_batch(self, batch: Batch) -> None:
        self._do("touch_batch", owner=batch.owner, id=batch.id, rev=self.rev)
        self.changes.append(transitions.batch_change(batch))

    def _batch(self, job: Job) -> Batch | None:
        if job.spec.batch is None:
            return None
        row = self._one("batch", owner=job.owner, id=job.spec.batch)
        return None if row is None else batch_from(row)

    def _put_batch(self, batch: Batch) -> None:
        self._do("put_batch", owner=batch.owner, id=batch.id, body=encode(batch))

    def set_history(self, job: Job, history: tuple[Message, ...], turns: tuple[Turn, ...] = ()) -> Job:
        """Store the conversation that precedes a job."""
        n, now = self._held(job)
        self._do("update_history", n=n, history=encode(history), turns=encode(turns))
        return msgspec.structs.replace(now, history=history, turns=turns)

    def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        """Append events to logs; return the tail of each, or why it was refused."""
        return [transitions.outcome_of(self._append, append) for append in appends]

    def _append(self, append: Append) -> int:
        job, events, files = append.job, append.events, append.files
        images = preconditions.check_files(events, files)
        head = self._one("job_head", owner=job.owner, id=job.id)
        if head is None:
            raise preconditions.gone(job)
        n, log, status, seq, attempt, fence = head
        if status != "running" or not _PLAIN.issuperset(map(type, events)):
            n, now = self._held(job)
            step = transitions.appended(now, append)
            self._check_new(n, images)
            self._take(n, step)
            self._insert_images(n, images, files)
            return step.job.seq
        # The fast path of almost all appends: neither the spec nor the history is read or written.
        preconditions.check_held(job, log=log, fence=fence, status=status)
        preconditions.check_tail(append, seq)
        encoded = transitions.numbered(events, after=seq, attempt=attempt)
        tail = int(seq) + len(encoded)
        self._check_new(n, images)
        self._insert_events(n, tail, encoded)
        self._insert_images(n, images, files)
        self._do("grow_job", n=n, seq=tail, rev=self.rev, preview=append.preview, resume=append.resume)
        self.changes.append(
            Change(kind="events", owner=job.owner, subject=job.id, status=status, seq=tail, events=encoded)
        )
        return tail

    def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        """End a job and write its notice, unless it has ended."""
        n, job = queries.find_job(self._db, owner, job_id)
        step = transitions.ended(job, event, fence=fence, log=log, batch=self._batch(job))
        if step is None:
            return job, False
        self._take(n, step)
        return step.job, True

    def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        """Delete an ended job, and close the gap in its thread."""
        n, job = queries.find_job(self._db, owner, job_id)
        preconditions.check_deletable(job, log=log)
        self._do("delete_marks_of_job", owner=owner, id=job_id)
        self._do("delete_notices_of_job", owner=owner, id=job_id)
        self._do("delete_events", **places_of(n))
        self._do("delete_images", n=n)
        self._do("delete_image_chunks", n=n)
        self._do("delete_asked", n=n)
        self._do("delete_job", n=n)
        if (spent := cost_ledger.entry_of(job)) is not None:
            kept = msgspec.structs.asdict(cost_ledger.nameless(spent))
            self._do("keep_spent", **kept | {"owner": owner, "estimated": int(spent.estimated)})
        self._do("inherit", owner=owner, id=job_id, previous=job.previous)
        if job.thread is not None:
            self._do("touch_fork", owner=owner, name=job.thread, at=job.ended_at)
        self._forget_in_chain(job)
        self._forget_empty_batch(job)
        newest = self._do("insert_deleted", owner=owner, id=job_id, rev=self.rev).lastrowid
        self._do("forget_deleted", newest=newest, kept=REMEMBERED_DELETIONS)
        self.changes.append(Change(kind="deleted", owner=owner, subject=job_id))

    def _forget_in_chain(self, deleted: Job) -> None:
        # Close the gap in the chain of retries. Without its newest job, the one before represents the chain again.
        owner, newer = deleted.owner, deleted.retried_by
        if newer is not None:
            self._do("set_retry_of", owner=owner, id=newer, retry_of=deleted.retry_of)
        if deleted.retry_of is None:
            return
        n, asked = queries.find_job(self._db, owner, deleted.retry_of)
        self._do("set_retried_by", n=n, retried_by=newer, rev=self.rev)
        self.changes.append(transitions.job_change(asked))
        if newer is None and (batch := self._batch(deleted)) is not None:
            self._put_batch(batch.recounted(deleted.status, asked.status))

    def _forget_empty_batch(self, deleted: Job) -> None:
        batch = self._batch(deleted)
        if batch is None or batch.ended_at is None or self._one("any_of_batch", owner=batch.owner, id=batch.id):
            return
        self._forget_notices(batch.owner, batch.id)
        self._do("delete_batch", owner=batch.owner, id=batch.id)

    def mark_announced(self, jobs: Sequence[ExpiredJob], *, at: float) -> None:
        """Store when the deletion of jobs was first announced."""
        maintenance.announce(self._db, jobs, at=at)

    def join_segments(self, segments: Sequence[maintenance.Segment]) -> None:
        """Replace rows of logs by segments."""
        maintenance.join(self._db, segments)

    def give_back_pages(self) -> None:
        """Cut some free pages off the file."""
        maintenance.give_back(self._db)

    def _held(self, job: Job) -> tuple[int, Job]:
        try:
            n, now = queries.find_job(self._db, job.owner, job.id)
        except NotFoundError:
            raise preconditions.gone(job) from None
        preconditions.check_held(job, log=now.log, fence=now.fence, status=now.status)
        return n, now

    def _take(self, n: int, step: transitions.Transition) -> None:
        job, notice = step.job, step.notice
        self._do("update_job", **columns_of(job), n=n, rev=self.rev)
        self._insert_events(n, job.seq, step.events)
        self.changes.append(step.change)
        if step.batch is not None:
            self._put_batch(step.batch)
            if step.pauses:
                self._tell_batch(step.batch)
        if notice is not None:
            self._put_notice(notice)

    def _insert_events(self, n: int, tail: int, encoded: Sequence[bytes]) -> None:
        if encoded:
            body, first = b"\n".join(encoded), tail - len(encoded) + 1
            self._do("insert_events", place=place_of(n, tail), first=first, body=body)

    def _check_new(self, n: int, images: Sequence[Image]) -> None:
        for image in images:
            if self._one("has_image", job=n, id=image.id)[0]:
                raise preconditions.image_is_there(image.id)

    def _insert_images(self, n: int, images: Sequence[Image], files: Mapping[str, bytes]) -> None:
        for image in images:
            self._do("insert_image", job=n, id=image.id, media_type=image.media_type, bytes=image.bytes)
            file = memoryview(files[image.id])
            for chunk, begin in enumerate(range(0, image.bytes, IMAGE_CHUNK)):
                data = file[begin : begin + IMAGE_CHUNK]
                self._do("insert_image_chunk", job=n, image=image.id, chunk=chunk, data=data)
