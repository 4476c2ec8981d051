"""Several server processes on one file, some of them killed."""

import asyncio
import sys

import pytest
from store.contract.batches import ROWS, announce
from store.contract.pauses import AT_FIRST, PAUSED, REFUSED, end_next
from store.factories import (
    HERE,
    OWNER,
    append,
    claim,
    ended,
    ids_of,
    log_of,
    new_job,
    running,
    submit,
    take,
    text_deltas,
)
from store.serving import DEADLINE, opened, serving

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.core.events import Attempt, Cancelled
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.port_values import Change
from jupyter_bgstream.store.sqlite import SQLiteStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


async def test_killed_server_loses_no_acknowledged_append(database, journal):
    async with serving(database, journal=journal) as server:
        server.say("stream")
        acknowledged = [await server.hear() for _ in range(100)]
        acknowledged += server.kill()
        async with opened(database, journal=journal) as store:
            events = await log_of(store, server.job)
            job = await store.job(OWNER, server.job)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            # The last line may be cut, and at most one append was committed but not yet acknowledged.
            tail = int(acknowledged[-2])
            assert tail <= job.seq == len(events) <= tail + 6
            assert fold(events).text == "a word " * (len(events) - 2)
            assert [job.id for job in await store.abandoned_jobs(owner=None, limit=99)] == [server.job]


async def test_stopped_server_is_not_dead_and_killed_server_is_dead_at_once(database, journal):
    async with opened(database, journal=journal) as store, serving(database, journal=journal) as server:
        await running(store)
        assert await store.abandoned_jobs(owner=None, limit=99) == []
        server.stop()
        assert await store.abandoned_jobs(owner=None, limit=99) == []
        server.go_on()
        assert await server.ask("append") == "5"
        server.kill()
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=99)] == [server.job]
        assert [path.name for path in database.parent.glob("*.servers/two.lock")] == ["two.lock"]


async def test_two_servers_see_jobs_of_each_other(database, journal):
    async with opened(database, journal=journal) as store:
        changes = store.changes()
        async with serving(database, journal=journal) as server:
            async with asyncio.timeout(DEADLINE):
                # Seen without a commit of our own: the writer looks for others'.
                while (seen := await take(changes))[-1].seq != 2:
                    pass
            assert seen[-1] == Change(kind="job", owner=OWNER, subject=server.job, status="running", seq=2)
            assert await server.ask("append") == "5"
            (grown,) = await take(changes)
            assert grown == Change(kind="events", owner=OWNER, subject=server.job, status="running", seq=5)
            assert [event.text for event in await log_of(store, server.job, after=2)] == ["a word "] * 3
            await submit(store, "job-here")
            assert await server.ask("watch job-here") == "job queued"
            assert await ids_of(store) == ["job-here", server.job]


async def test_cancel_on_one_server_refuses_append_on_other(database, journal):
    async with opened(database, journal=journal) as store, serving(database, journal=journal) as server:
        assert await server.ask("append") == "5"
        _, won = await store.end(OWNER, server.job, Cancelled(at=9.0))
        assert won
        assert await server.ask("append") == "FencedError"
        assert await server.ask("append") == "FencedError"
        assert (await store.job(OWNER, server.job)).seq == 6


async def test_cancel_succeeds_while_other_server_streams(database, journal):
    async with opened(database, journal=journal) as store, serving(database, journal=journal) as server:
        server.say("stream")
        await server.hear()
        async with asyncio.timeout(60):
            _, won = await store.end(OWNER, server.job, Cancelled(at=9.0))
        assert won
        while (line := await server.hear()) != "FencedError":
            assert line.isdigit()


async def test_changes_arrive_in_commit_order(database, journal):
    async with opened(database, journal=journal) as one, opened(database, "server-two", journal=journal) as two:
        changes = two.changes()
        await ended(one)
        await ended(one, "job-0002")
        await one.delete(OWNER, "job-0001")
        await one.submit(new_job("job-0001"), max_queued=9)
        await submit(two, "job-0003", server="server-two")
        taken = await take(
            changes, until=_queued(await two.events(await two.job(OWNER, "job-0003"), after=0, max_bytes=99))
        )
        # What happened in between is one change each; a deleted job is gone before it is new.
        newest = {}
        for change in taken:
            assert change.events == ()
            newest[change.subject] = [*newest.get(change.subject, []), (change.kind, change.status)]
        assert newest["job-0001"][-2:] == [("deleted", None), ("job", "queued")]
        assert newest["job-0002"][-2:] == [("job", "completed"), ("notice", None)]


async def test_status_change_is_published_only_when_status_changed(database, journal):
    async with opened(database, journal=journal) as one, opened(database, "server-two", journal=journal) as two:
        job = await running(one)
        await submit(two, "job-0002", server="server-two")  # two knows all until here
        changes = two.changes()
        await append(one, job, [Attempt(at=30.0, reason="retry")])
        assert await take(changes) == [Change(kind="events", owner=OWNER, subject=job.id, status="running", seq=3)]


async def test_read_and_dismissed_notices_reach_other_servers(database, journal):
    async with opened(database, journal=journal) as one, opened(database, "server-two", journal=journal) as two:
        await ended(one)
        await submit(two, "job-0002", server="server-two")  # two knows all until here
        changes = two.changes()
        (notice,) = await one.notices(OWNER, "")
        await one.dismiss(OWNER, "", notice.id, at=60.0)
        assert await take(changes) == [Change(kind="notice", owner=OWNER, subject="job-0001")]


async def test_pause_of_batch_applies_to_other_servers_and_after_restart(database, journal):
    async with opened(database, "server-two", journal=journal) as two:
        async with opened(database, journal=journal) as one:
            await announce(one, *range(AT_FIRST), total=20)
            await announce(two, 11, 12, total=20, server="server-two")  # two knows all until here
            changes = two.changes()
            await end_next(one, *[REFUSED] * AT_FIRST)
            hint = Change(kind="batch", owner=OWNER, subject=ROWS)
            await take(changes, until=hint)
            assert await claim(two, server="server-two") == []
        async with opened(database, journal=journal) as one:
            assert (await one.batch(OWNER, ROWS)).paused == PAUSED
            assert await claim(two, server="server-two") == []
            await one.resume_batch(OWNER, ROWS)
            assert await take(changes) == [hint]
        assert len(await claim(two, server="server-two")) == 2


async def test_streaming_server_lets_other_server_write(database, journal):
    async with (
        opened(database, journal=journal) as busy,
        opened(database, "server-two", patience=2.0, journal=journal) as other,
    ):
        jobs = [await running(busy, f"job-{n:04}") for n in range(10)]
        stop = asyncio.Event()

        async def stream(job):
            while not stop.is_set():
                await append(busy, job, text_deltas("a word ") * 20)

        streams = [asyncio.create_task(stream(job)) for job in jobs]
        for n in range(20):
            await submit(other, f"job-other{n}", server="server-two")
        stop.set()
        await asyncio.gather(*streams)


async def test_id_of_living_server_is_refused(database, journal):
    async with opened(database, journal=journal):
        with pytest.raises(UnavailableError, match="already runs"):
            await SQLiteStore(database, server=HERE, journal=journal).open()
    async with opened(database, journal=journal) as store:
        await submit(store, "job-0001")
        assert await store.abandoned_jobs(owner=None, limit=99) == []


async def test_jobs_of_server_closed_in_order_are_abandoned(database, journal):
    async with opened(database, "server-two", journal=journal) as two:
        await submit(two, "job-0001", server="server-two")
    async with opened(database, journal=journal) as store:
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=99)] == ["job-0001"]
        assert (await store.end(OWNER, "job-0001", Cancelled(at=9.0)))[1]
        assert await store.abandoned_jobs(owner=None, limit=99) == []


def _queued(events):
    return Change(kind="job", owner=OWNER, subject="job-0003", status="queued", seq=1, events=tuple(events))
