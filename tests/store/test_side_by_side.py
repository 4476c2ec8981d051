"""Random operations on the memory store and the SQLite store have the same outcomes."""

import asyncio
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.factories import ALL, HERE, ROOM, append, new_job
from store.model import MemoryStore

from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.errors import BgStreamError
from jupyter_bgstream.core.events import (
    Attempt,
    Cancelled,
    Citation,
    Completed,
    Delta,
    Failed,
    Interrupted,
    ToolCall,
    Usage,
    Waiting,
)
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Mute, Notice
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.core.threads import Fork
from jupyter_bgstream.store.port_values import Append, Capacity, JobFilter
from jupyter_bgstream.store.sqlite import SQLiteStore

examples = itertools.count()

ids = st.sampled_from(["job-0001", "job-0001", "job-0002", "job-0003"])
times = st.floats(1, 100, width=16)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
viewers = st.sampled_from(["", "eve"])
ends = st.one_of(
    st.builds(Completed, at=times, finish_reason=st.just("stop")),
    st.builds(Failed, at=times, code=st.just("truncated"), message=texts),
    st.builds(Cancelled, at=times),
    st.builds(Interrupted, at=times, code=st.just("server_died"), message=texts),
)
quiet = st.one_of(
    st.builds(Delta, channel=st.sampled_from(["text", "reasoning"]), text=texts),
    st.builds(Usage, input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9)),
    st.builds(Citation, url=texts, title=texts),
    st.builds(ToolCall, id=texts, name=texts, arguments=texts),
)
turns = st.one_of(
    st.builds(Waiting, at=times, until=times, code=st.just("rate_limited"), message=texts),
    st.builds(Attempt, at=times, resumed=st.booleans(), reason=st.just("retry")),
)
events = st.lists(st.one_of(quiet, quiet, quiet, turns, ends), max_size=6)
optional = st.sampled_from([None, "x", "y"])
labels = st.sampled_from([None, "batch-00", "y"])
specs = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["one", "one", "two"]),
        "thread": st.sampled_from([None, "x", "y"]),
        "batch": labels,
        "tags": st.sampled_from([(), ("x",), ("x", "y")]),
        "priority": st.sampled_from(["interactive", "bulk"]),
    }
)
filters = st.builds(
    JobFilter,
    status=st.sampled_from([None, None, "queued", "running", "completed"]),
    thread=optional,
    batch=labels,
    tag=optional,
    ids=st.one_of(st.none(), st.lists(ids, max_size=3).map(tuple)),
    limit=st.integers(1, 3),
)
rooms = st.builds(Capacity, running=st.integers(0, 3), bulk=st.integers(0, 2), owner=st.integers(1, 3))
waits = st.builds(
    Waiting,
    at=times,
    until=times,
    code=st.sampled_from(["server_died", "no_provider", "rate_limited"]),
    message=st.just("Wait."),
)
batches = st.sampled_from(["batch-00", "batch-01", "batch-02"])
mutes = st.builds(Mute, kind=st.sampled_from(["notebook", "thread"]), name=st.sampled_from(["x", "y"]))
threads = st.sampled_from(["x", "y", "z"])
operations = st.one_of(
    st.tuples(st.just("submit"), ids, specs, st.integers(1, 4)),
    st.tuples(st.just("claim"), st.integers(0, 3), times),
    st.tuples(st.just("claim"), st.integers(0, 3), times, rooms),
    st.tuples(st.just("adopt"), st.integers(0, 9), st.booleans(), st.one_of(st.none(), waits)),
    st.tuples(st.just("retry"), ids, ids, st.integers(1, 4)),
    st.tuples(st.just("batch"), batches, st.integers(1, 3), st.lists(ids, max_size=3), st.integers(1, 5)),
    st.tuples(st.just("cancel_batch"), batches, st.integers(1, 2)),
    st.tuples(st.just("pause"), st.integers(4, 8)),
    st.tuples(st.just("resume_batch"), batches),
    st.tuples(st.just("mute"), viewers, mutes, st.booleans()),
    st.tuples(st.just("calls"), st.integers(0, 200), st.integers(0, 60), st.integers(1, 2)),
    st.tuples(st.just("called"), st.integers(0, 3)),
    st.tuples(st.just("append"), st.integers(0, 9), events, st.one_of(st.none(), texts)),
    st.tuples(st.just("append"), st.integers(0, 9), st.lists(quiet, min_size=1, max_size=5), st.none()),
    st.tuples(
        st.just("append_many"),
        st.lists(st.tuples(st.integers(0, 9), events, st.one_of(st.none(), st.integers(1, 9))), max_size=4),
    ),
    st.tuples(st.just("freeze"), st.integers(0, 9), texts),
    st.tuples(st.just("end"), ids, ends, st.sampled_from([None, None, 0, 1, 2])),
    st.tuples(st.just("end_log"), st.integers(0, 9), ends),
    st.tuples(st.just("delete"), ids),
    st.tuples(st.just("fork"), threads, threads, times),
    st.tuples(st.just("rename_thread"), threads, threads),
    st.tuples(st.just("delete_thread"), threads, times),
    st.tuples(st.just("forget_forks"), times),
    st.tuples(st.just("threads"), st.integers(1, 2)),
    st.tuples(st.just("jobs"), filters),
    st.tuples(st.just("events"), st.integers(0, 9), st.integers(0, 12), st.integers(1, 300)),
    st.tuples(st.just("read"), viewers, st.one_of(st.none(), st.lists(st.integers(0, 3), max_size=2)), times),
    st.tuples(st.just("seen"), viewers, ids, st.integers(0, 12), times),
    st.tuples(st.just("dismiss"), viewers, st.integers(0, 3), times),
)

# Enough jobs to begin with, so that most of what follows meets one.
START = [
    ("submit", "job-0001", {"prompt": "one", "thread": "x"}, 4),
    ("submit", "job-0002", {"prompt": "one", "thread": "y", "tags": ("x",)}, 4),
    ("submit", "job-0003", {"prompt": "two", "thread": "x", "batch": "batch-00", "priority": "bulk"}, 4),
    ("claim", 1, 1.0),
    ("claim", 1, 1.0),
]


class Player:
    """Plays operations on one store as one owner and server of their own."""

    def __init__(self, store, owner):
        self.changes = store.changes()
        self._store = store
        self._owner = owner
        self._server = f"server of {owner}"
        self._logs = itertools.count()  # the same in both stores
        self._submitted = []  # jobs as they were submitted, which may be gone
        self._claimed = []  # jobs as they were claimed, whose fences may be old

    async def play(self, name, *arguments):
        """Return what came of an operation, in a form that can be compared."""
        try:
            return _comparable(await getattr(self, f"_{name}")(*arguments))
        except BgStreamError as error:
            return type(error), error.message

    async def state(self):
        """Return everything this owner can see."""
        jobs, _ = await self._store.jobs(self._owner, JobFilter(limit=500))
        logs = [await self._store.events(job, after=0, max_bytes=ALL) for job in jobs]
        for job, log in zip(jobs, logs, strict=True):
            answer = fold(decode_events(log))
            assert (answer.status, answer.seq, answer.attempt) == (job.status, job.seq, job.attempt)
        inboxes = [await self._store.notices(self._owner, viewer) for viewer in ("", "eve")]
        muted = [await self._store.mutes(self._owner, viewer) for viewer in ("", "eve")]
        batches = [await self.play("show_batch", batch) for batch in ("batch-00", "batch-01", "batch-02")]
        threads = await self._threads(9), [await self._store.last_turn(self._owner, name) for name in "xyz"]
        due = await self._store.next_due(server=self._server, owner=None, after=0.0)
        abandoned = await self._store.abandoned_jobs(owner=self._owner, limit=99)
        return _comparable(
            (jobs, logs, inboxes, muted, batches, threads, due, abandoned, await self._store.counts(self._owner))
        )

    async def told(self):
        """Return every change so far."""
        last = new_job("job-last", owner=self._owner, log="0" * 8)
        await self._store.submit(last, max_queued=99)
        changes = []
        while not changes or changes[-1].subject != last.id:
            changes.extend(await anext(self.changes))
        return changes

    async def _submit(self, job_id, spec, max_queued):
        job = new_job(job_id, owner=self._owner, server=self._server, log=f"{next(self._logs):08x}", **spec)
        job, new = await self._store.submit(job, max_queued=max_queued)
        self._submitted.append(job)
        return job, new

    async def _claim(self, limit, at, room=ROOM):
        jobs = await self._store.claim(server=self._server, owner=None, room=room, limit=limit, at=at)
        self._claimed.extend(jobs)
        return jobs

    async def _adopt(self, which, mine, event):
        if not self._claimed + self._submitted:
            return None
        job = (self._claimed + self._submitted)[which % len(self._claimed + self._submitted)]
        job = await self._store.adopt(job, server=self._server if mine else "server-there", event=event)
        self._claimed.append(job)
        return job

    async def _retry(self, job_id, new_id, max_queued):
        asked = await self._store.job(self._owner, job_id)
        again = new_job(new_id, owner=self._owner, server=self._server, log=f"{next(self._logs):08x}")
        again = msgspec.structs.replace(again, spec=asked.spec, retry_of=job_id)
        return await self._store.submit(again, max_queued=max_queued)

    async def _batch(self, batch_id, total, job_ids, max_queued):
        spec = BatchSpec(id=batch_id, total=total)
        jobs = [
            new_job(job_id, owner=self._owner, server=self._server, log=f"{next(self._logs):08x}", batch=batch_id)
            for job_id in dict.fromkeys(job_ids)
        ]
        batch = Batch(spec=spec, owner=self._owner, total=total, created_at=1.0)
        return await self._store.submit_batch(batch, jobs, max_queued=max_queued)

    async def _show_batch(self, batch_id):
        return await self._store.batch(self._owner, batch_id)

    async def _cancel_batch(self, batch_id, limit):
        return await self._store.cancel_batch(self._owner, batch_id, Cancelled(at=9.0), limit=limit)

    async def _pause(self, failures):
        rows = [f"row-000{number}" for number in range(9)]
        batch = await self._batch("batch-02", 9, rows, 99)
        await self._claim(9, 1.0)
        failed = Failed(at=2.0, code="truncated", message="It broke off.")
        for row in rows[:failures]:
            await self._store.end(self._owner, row, failed)
        return batch

    async def _resume_batch(self, batch_id):
        return await self._store.resume_batch(self._owner, batch_id)

    async def _mute(self, viewer, mute, on):
        return await self._store.mute(self._owner, viewer, mute, on=on)

    async def _calls(self, at, since, limit):
        return await self._store.due_webhooks(self._owner, since=since, at=at, again=at + 5.0, limit=limit)

    async def _called(self, which):
        notices = await self._store.notices(self._owner, "")
        if which < len(notices):
            await self._store.reschedule_webhook(self._owner, notices[which].id)

    async def _append(self, which, events, preview):
        if self._claimed:
            return await append(self._store, self._claimed[which % len(self._claimed)], events, preview=preview)
        return None

    async def _append_many(self, chosen):
        if not self._claimed:
            return None
        outcomes = await self._store.append(
            [
                Append(job=self._claimed[which % len(self._claimed)], events=events, tail=tail)
                for which, events, tail in chosen
            ]
        )
        return [(type(it), str(it)) for it in outcomes]

    async def _freeze(self, which, text):
        if self._claimed:
            history = (Message(role="user", content=text),)
            return await self._store.set_history(self._claimed[which % len(self._claimed)], history)
        return None

    async def _end(self, job_id, event, fence):
        return await self._store.end(self._owner, job_id, event, fence=fence)

    async def _end_log(self, which, event):
        job = self._submitted[which % len(self._submitted)]
        return await self._store.end(self._owner, job.id, event, log=job.log)

    async def _delete(self, job_id):
        return await self._store.delete(self._owner, job_id)

    async def _fork(self, name, new, at):
        fork = Fork(owner=self._owner, name=new, origin=name, model="a/b", title=name, created_at=at, touched_at=at)
        return await self._store.fork(fork)

    async def _rename_thread(self, name, new):
        return await self._store.rename_thread(self._owner, name, new)

    async def _delete_thread(self, name, at):
        return await self._store.delete_thread(self._owner, name, Cancelled(at=at))

    async def _forget_forks(self, before):
        return await self._store.forget_forks(owner=self._owner, before=before)

    async def _threads(self, limit):
        pages, after = [], None
        while not pages or after is not None:
            page, after = await self._store.threads(self._owner, limit=limit, after=after)
            pages.append(page)
        return pages, [await self._store.fork_of(self._owner, name) for name in "xyz"]

    async def _jobs(self, which):
        pages = []
        while True:
            page, after = await self._store.jobs(self._owner, which)
            pages.append(page)
            if after is None:
                return pages
            which = msgspec.structs.replace(which, after=after)

    async def _events(self, which, after, max_bytes):
        job = self._submitted[which % len(self._submitted)]
        return await self._store.events(job, after=after, max_bytes=max_bytes)

    async def _read(self, viewer, which, at):
        notices = await self._store.notices(self._owner, viewer)
        chosen = None if which is None else [notice.id for n, notice in enumerate(notices) if n in which]
        return await self._store.mark_read(self._owner, viewer, ids=chosen, at=at)

    async def _seen(self, viewer, job_id, seq, at):
        return await self._store.mark_seen(self._owner, viewer, job_id, seq=seq, at=at)

    async def _dismiss(self, viewer, which, at):
        notices = await self._store.notices(self._owner, viewer)
        if which < len(notices):
            return await self._store.dismiss(self._owner, viewer, notices[which].id, at=at)
        return await self._store.dismiss(self._owner, viewer, "none", at=at)


def _comparable(value):
    # The id of a notice is random.
    if isinstance(value, Notice):
        return msgspec.structs.replace(value, id="")
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return value


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


def test_memory_and_sqlite_stores_have_same_outcomes(runner, database):
    memory, sqlite = MemoryStore(server=HERE), SQLiteStore(database, server=HERE, missing=0.0)
    runner.run(memory.open())
    runner.run(sqlite.open())

    async def play(steps):
        owner = f"owner-{next(examples)}"
        one, two = Player(memory, owner), Player(sqlite, owner)
        for step in [*START, *steps]:
            assert await one.play(*step) == await two.play(*step), step
        assert await one.state() == await two.state()
        assert await one.told() == await two.told()

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(operations, min_size=10, max_size=40))
    def check(steps):
        runner.run(play(steps))

    try:
        check()
    finally:
        runner.run(memory.close())
        runner.run(sqlite.close())
