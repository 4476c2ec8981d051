"""The store on a SQLite file: each method of the ``Store`` protocol is one transaction or one query."""

from collections.abc import Sequence

from ...core.errors import BgStreamError
from ...core.job import Job
from ..port_values import Append
from . import claim_selection, maintenance, queries
from .database import SQLiteDatabase
from .job_writes import Transaction, is_quiet
from .store_methods import read_method, write_method


class SQLiteStore(SQLiteDatabase):
    """A store in one SQLite file. The ``Store`` protocol documents the methods."""

    kind = "sqlite"

    submit = write_method(Transaction.submit)
    claim = write_method(Transaction.claim)
    next_due = read_method(queries.next_due)
    has_work = read_method(claim_selection.has_work)
    adopt = write_method(Transaction.adopt)
    set_history = write_method(Transaction.set_history)
    end = write_method(Transaction.end)
    job = read_method(queries.get_job)
    jobs = read_method(queries.list_jobs)
    counts = read_method(queries.count_jobs)
    delete = write_method(Transaction.delete)

    events = read_method(queries.read_events)
    image = read_method(queries.find_image)
    image_chunk = read_method(queries.read_image_chunk)

    submit_batch = write_method(Transaction.submit_batch)
    batch = read_method(queries.find_batch)
    progress = read_method(queries.batch_progress)
    answers = read_method(queries.batch_answers)
    retry_batch = write_method(Transaction.retry_batch)
    cancel_batch = write_method(Transaction.cancel_batch)
    resume_batch = write_method(Transaction.resume_batch)

    threads = read_method(queries.list_threads)
    thread = read_method(queries.find_thread)
    last_turn = read_method(queries.find_last_turn)
    fork_of = read_method(queries.find_fork)
    fork = write_method(Transaction.fork)
    rename_thread = write_method(Transaction.rename_thread)
    delete_thread = write_method(Transaction.delete_thread)
    forget_forks = write_method(Transaction.forget_forks)

    notices = read_method(queries.list_notices)
    mark_read = write_method(Transaction.mark_read)
    mark_seen = write_method(Transaction.mark_seen)
    dismiss = write_method(Transaction.dismiss)
    mutes = read_method(queries.list_mutes)
    mute = write_method(Transaction.mute)
    due_webhooks = write_method(Transaction.due_webhooks)
    reschedule_webhook = write_method(Transaction.reschedule_webhook)

    costs = read_method(queries.sum_costs)

    expired_jobs = read_method(maintenance.expired_jobs)
    mark_announced = write_method(Transaction.mark_announced)
    size = read_method(maintenance.size)

    async def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        """Append events to logs; without a sync to disk if no job changes its state."""
        light = all(is_quiet(append.events) for append in appends)
        return await self._open.writer.run(lambda tx: tx.append(appends), light=light)

    async def abandoned_jobs(self, *, owner: str | None, limit: int) -> list[Job]:
        """Return unfinished jobs of servers that hold no lock."""
        parts = self._open
        return await parts.readers.run(lambda db: queries.abandoned_jobs(db, parts.liveness, owner=owner, limit=limit))

    async def compact(self) -> bool:
        """Join and compress rows of a log, or give pages back to the file system."""
        parts = self._open
        if found := await parts.readers.run(maintenance.next_segments):
            await parts.writer.run(lambda tx: tx.join_segments(found), light=True)
        elif await parts.readers.run(maintenance.has_spare_pages):
            await parts.writer.run(Transaction.give_back_pages, light=True)
        else:
            return False
        return True
