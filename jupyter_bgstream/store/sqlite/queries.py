"""Queries. Every function takes a connection and changes nothing; the ``Store`` protocol documents the results."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec

from ...core.batches import Batch, BatchItem, Progress
from ...core.codec import decode_events, encode
from ...core.costs import By, CostRow
from ...core.errors import NotFoundError
from ...core.job import Job
from ...core.notices import Mute, Notice
from ...core.schemas.threads import ThreadInfo
from ...core.state import Answer, fold
from ...core.threads import Fork
from .. import cost_ledger, preconditions, transitions
from ..port_values import Change, JobFilter, StoredImage
from ..threads import thread_of
from .rows import batch_from, change_from, events_of, fork_from, job_of, listed_job_of, notice_from, places_of
from .server_locks import ServerLocks
from .sql_files import QUERIES, one, run

# By field of JobFilter; the conditions of the fields that are set are joined by AND.
_CONDITIONS = {
    "owner": "owner = :owner",
    "status": "status = :status",
    "thread": "thread = :thread",
    "notebook": "notebook = :notebook",
    "batch": "grp = :batch",
    "submitted_by": "submitted_by = :submitted_by",
    "tag": "EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag)",
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "after": "n < :after",
}


# Key and order of the sums of costs. Days of all time zones begin with a quarter.
_DEAREST = "sum(usd) IS NULL, sum(usd) DESC, key IS NULL, key"
_SUMS: dict[By, tuple[str, str]] = {
    "day": ("date(at, 'unixepoch', 'localtime')", "key DESC"),
    "model": ("model", _DEAREST),
    "thread": ("thread", _DEAREST),
    "notebook": ("notebook", _DEAREST),
    "batch": ("grp", _DEAREST),
    "submitted_by": ("submitted_by", _DEAREST),
}


def _found(row: Any, error: NotFoundError) -> Any:
    if row is None:
        raise error
    return row


def find_job(db: sqlite3.Connection, owner: str, job_id: str) -> tuple[int, Job]:
    """Return a job and its ``jobs.n``; raises NotFoundError."""
    row = _found(one(db, "job", owner=owner, id=job_id), preconditions.no_such_job(job_id))
    return row["n"], job_of(row)


def get_job(db: sqlite3.Connection, owner: str, job_id: str) -> Job:
    """Return a job; raises NotFoundError."""
    return find_job(db, owner, job_id)[1]


def list_jobs(db: sqlite3.Connection, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
    """Return a page of jobs without prompts, newest first, and the cursor of the next; raises InvalidRequestError."""
    asked = msgspec.structs.asdict(which) | {
        "owner": owner,
        "ids": None if which.ids is None else encode(which.ids).decode(),
        "after": preconditions.page_start(which.after),
        "limit": which.limit + 1,
    }
    conditions = [condition for name, condition in _CONDITIONS.items() if asked[name] is not None]
    where = " AND ".join(conditions)  # made of constants, never of a caller's text
    query = f"SELECT * FROM jobs WHERE {where} ORDER BY n DESC LIMIT :limit"  # noqa: S608
    rows = db.execute(query, asked).fetchall()
    page = rows[: which.limit]
    return [listed_job_of(row) for row in page], str(page[-1]["n"]) if len(rows) > len(page) else None


def count_jobs(db: sqlite3.Connection, owner: str) -> dict[str, int]:
    """Return the number of an owner's jobs by status."""
    return dict(run(db, "counts", owner=owner).fetchall())


def sum_costs(
    db: sqlite3.Connection, owner: str, by: By, *, since: float | None = None, until: float | None = None
) -> list[CostRow]:
    """Return the sums of jobs that were submitted in a period, deleted ones included."""
    key, order = _SUMS[by]
    first, end = cost_ledger.quarters(since, until)
    query = (
        f"SELECT {key} AS key, sum(jobs) AS jobs, sum(input_tokens) AS input_tokens,"  # noqa: S608 - made of constants
        f" sum(output_tokens) AS output_tokens, sum(usd) AS usd, max(estimated) AS estimated"
        f" FROM ({QUERIES['spent']}) GROUP BY 1 ORDER BY {order} LIMIT :most"
    )
    rows = db.execute(query, {"owner": owner, "first": first, "end": end, "most": cost_ledger.MOST}).fetchall()
    return [CostRow(**{**row, "estimated": bool(row["estimated"])}) for row in rows]


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")  # ends the snapshot, which delays checkpoints; nothing was written


def read_events(db: sqlite3.Connection, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
    """Return encoded events behind number ``after``: at most ``max_bytes``, but at least one if there is any.

    The job and its log are read in one snapshot: otherwise a log that is deleted in between would seem to have no more
    events.

    Raises:
        NotFoundError: There is no such job, or it has another log.
    """
    found: list[bytes] = []
    with _snapshot(db):
        head = _found(one(db, "job_head", owner=job.owner, id=job.id), preconditions.no_such_job(job.id))
        preconditions.check_log(job.id, job.log, head["log"])
        with closing(run(db, "events", **places_of(head["n"], after=after))) as rows:
            for first, body, packed in rows:
                events = events_of(body, packed)[max(0, after + 1 - first) :]
                if (size := sum(map(len, events))) <= max_bytes:  # whole rows, without a loop in Python
                    max_bytes -= size
                    found += events
                    continue
                for event in events:
                    max_bytes -= len(event)
                    if found and max_bytes < 0:
                        return found
                    found.append(event)
    return found


def find_image(db: sqlite3.Connection, owner: str, job_id: str, image_id: str) -> StoredImage:
    """Return an image of a job; raises NotFoundError."""
    row = _found(one(db, "image", owner=owner, job=job_id, id=image_id), preconditions.no_such_image(image_id))
    return StoredImage(owner=owner, job=job_id, **row)


def read_image_chunk(db: sqlite3.Connection, image: StoredImage, chunk: int) -> bytes:
    """Return a chunk of an image file; raises NotFoundError."""
    row = one(db, "image_chunk", owner=image.owner, job=image.job, log=image.log, image=image.id, chunk=chunk)
    return bytes(_found(row, preconditions.no_such_image(image.id))["data"])


def next_due(db: sqlite3.Connection, *, server: str, owner: str | None, after: float) -> float | None:
    """Return when the next waiting job is due."""
    (due,) = one(db, "next_due", server=server, owner=owner, after=after)
    return None if due is None else float(due)


def find_batch(db: sqlite3.Connection, owner: str, batch_id: str) -> Batch:
    """Return a batch; raises NotFoundError."""
    return batch_from(_found(one(db, "batch", owner=owner, id=batch_id), preconditions.no_such_batch(batch_id)))


def last_turn(db: sqlite3.Connection, owner: str, thread: str) -> str | None:
    """Return the id of a thread's last turn, or of its newest retry."""
    last = one(db, "last_turn_of_thread", owner=owner, thread=thread)
    while last is not None and last["retried_by"] is not None:
        last = one(db, "job_links", owner=owner, id=last["retried_by"])
    return None if last is None else str(last["id"])


def find_last_turn(db: sqlite3.Connection, owner: str, name: str) -> Job | None:
    """Return a thread's last turn."""
    with _snapshot(db):
        job_id = last_turn(db, owner, name)
        return None if job_id is None else find_job(db, owner, job_id)[1]


def find_fork(db: sqlite3.Connection, owner: str, name: str) -> Fork | None:
    """Return the conversation that a thread was forked with."""
    row = one(db, "fork", owner=owner, name=name)
    return None if row is None else fork_from(row)


def find_thread(db: sqlite3.Connection, owner: str, name: str) -> ThreadInfo:
    """Return a thread; raises NotFoundError."""
    with _snapshot(db):
        return _thread(db, owner, name)


def list_threads(
    db: sqlite3.Connection, owner: str, *, limit: int, after: str | None = None
) -> tuple[list[ThreadInfo], str | None]:
    """Return a page of threads, newest first, and the cursor of the next; raises InvalidRequestError."""
    start = preconditions.page_start(after)
    with _snapshot(db):
        newest = 1 << 62 if start is None else start
        rows = run(db, "threads", owner=owner, after=newest, limit=limit + 1).fetchall()
        page = rows[:limit]
        threads = [_thread(db, owner, row["name"]) for row in page]
    return threads, str(page[-1]["n"]) if len(rows) > len(page) else None


def _thread(db: sqlite3.Connection, owner: str, name: str) -> ThreadInfo:
    sums = one(db, "sums_of_thread", owner=owner, thread=name)
    unfinished = one(db, "unfinished_of_thread", owner=owner, thread=name)
    last = one(db, "listed_job", owner=owner, id=last_turn(db, owner, name))
    return thread_of(
        name,
        jobs=sums["jobs"],
        created_at=sums["created_at"],
        updated_at=sums["updated_at"],
        unfinished=None if unfinished is None else listed_job_of(unfinished),
        last=None if last is None else listed_job_of(last),
        fork=find_fork(db, owner, name),
    )


def batch_progress(db: sqlite3.Connection, owner: str, batch_id: str) -> Progress:
    """Return the progress of a batch; raises NotFoundError."""
    with _snapshot(db):
        batch = find_batch(db, owner, batch_id)
        running, waiting = one(db, "progress_of_batch", owner=owner, id=batch_id)
    return Progress(batch=batch, running=running, waiting=waiting)


def batch_answers(
    db: sqlite3.Connection, owner: str, batch_id: str, *, after: str | None, limit: int, max_bytes: int
) -> tuple[list[BatchItem], str, bool]:
    """Return changed items of a batch, the next cursor, and whether there are more.

    Raises NotFoundError, InvalidRequestError.
    """
    change, place = preconditions.places_start(after)
    found: list[BatchItem] = []
    with _snapshot(db):
        find_batch(db, owner, batch_id)
        asked = {"owner": owner, "id": batch_id, "change": change, "place": place}
        rows = run(db, "places_of_batch", **asked, limit=limit + 1).fetchall()
        for row in rows[:limit]:
            job = listed_job_of(row)
            answer = _answer_of(db, row["n"]) if job.ended else None
            max_bytes -= len(answer.text) if answer is not None else 0
            if found and max_bytes < 0:
                break
            found.append(BatchItem.by(job, answer))
            change, place = row["status_rev"], row["n"]
    return found, f"{change}_{place}", len(found) < len(rows)


def _answer_of(db: sqlite3.Connection, n: int) -> Answer:
    rows = run(db, "events", **places_of(n)).fetchall()
    return fold(decode_events([event for _, body, packed in rows for event in events_of(body, packed)]))


def abandoned_jobs(db: sqlite3.Connection, liveness: ServerLocks, *, owner: str | None, limit: int) -> list[Job]:
    """Return unfinished jobs of dead servers, of one owner or of all, oldest first."""
    ended = liveness.dead_servers()  # before their jobs are read: dead servers get no new ones
    servers = [server for (server,) in run(db, "servers_with_unfinished_jobs").fetchall()]
    liveness.forget(ended.difference(servers))
    dead = [server for server in servers if liveness.is_dead(server)]
    if not dead:
        return []
    query = "unfinished_jobs_of" if owner is None else "unfinished_jobs_of_owner"
    return [job_of(row) for row in run(db, query, servers=encode(dead).decode(), owner=owner, limit=limit)]


def list_notices(db: sqlite3.Connection, owner: str, viewer: str) -> list[Notice]:
    """Return a viewer's inbox, newest first."""
    mutes = list_mutes(db, owner, viewer)
    rows = run(db, "notices", owner=owner, viewer=viewer).fetchall()
    return [transitions.as_seen_by(notice_from(row), read_at=row["read_at"], mutes=mutes) for row in rows]


def list_mutes(db: sqlite3.Connection, owner: str, viewer: str) -> list[Mute]:
    """Return what a viewer has muted, sorted."""
    return [Mute(kind=row["kind"], name=row["name"]) for row in run(db, "mutes", owner=owner, viewer=viewer)]


def revision(db: sqlite3.Connection) -> int:
    """Return the number of the last commit with changes."""
    return int(one(db, "revision")[0])


def changes_since(db: sqlite3.Connection, rev: int) -> list[Change]:
    """Return the changes of the commits after number ``rev``: each job once, in the order of its last change."""
    return [change_from(row) for row in run(db, "changes_since", since=rev)]
