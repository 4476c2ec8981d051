"""Contract tests of stores.

The tests of a backend are a subclass with a fixture ``store``, which yields an open, empty store of the server HERE::

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            store = MyStore(server=HERE)
            await store.open()
            yield store
            await store.close()

Needs pytest and pytest-asyncio in its auto mode. Closing a store twice does nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ..core.errors import (
    ConflictError,
    FencedError,
    IllegalEventError,
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    UnavailableError,
)
from ..core.events import Attempt, Cancelled, Delta, End, Failed, Interrupted, Usage, Waiting
from ..core.job import JobSource
from ..core.messages import Message
from ..core.state import ErrorInfo, fold
from ..store.ports.store import Change, JobFilter, Store
from .append_contract import AppendContract
from .batch_contract import BatchContract
from .cost_contract import CostContract
from .factories import (
    ALL,
    DONE,
    HERE,
    OWNER,
    ROOM,
    THERE,
    anew,
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
from .image_contract import ImageContract
from .lifecycle_contract import LifecycleContract
from .pause_contract import PauseContract
from .resume_contract import ResumeContract
from .retention_contract import RetentionContract
from .submitter_contract import SubmitterContract
from .thread_contract import ThreadContract

__all__ = [
    "ALL",
    "HERE",
    "OWNER",
    "ROOM",
    "THERE",
    "StoreContract",
    "claim",
    "ended",
    "new_job",
    "running",
    "submit",
    "take",
    "text_deltas",
]


class SubmitContract:
    """Submission: idempotent by id, limited by the queue, ordered in a thread."""

    async def test_submitted_job_is_queued_in_state_and_log(self, store: Store) -> None:
        asked = new_job("job-0001", params={"temperature": 0}, tags=("a",), source=JobSource(notebook="n.ipynb"))
        job, new = await store.submit(asked, max_queued=10)
        assert new
        assert (job.status, job.seq, job.attempt, job.fence, job.spec) == ("queued", 1, 0, 0, asked.spec)
        assert await store.job(OWNER, "job-0001") == job
        assert await store.events(job, after=0, max_bytes=ALL) == [b'{"seq":1,"attempt":0,"type":"queued","at":10.0}']

    async def test_repeated_submit_returns_same_job(self, store: Store) -> None:
        first = await submit(store, "job-0001")
        again = new_job("job-0001", created_at=99.0, title="another title")
        assert await store.submit(again, max_queued=1) == (first, False)

    @pytest.mark.parametrize(
        "other", [{"prompt": "Why?"}, {"model": "open/big"}, {"thread": "t"}, {"params": {"n": 2}}]
    )
    async def test_same_id_with_other_request_is_refused(self, store: Store, other: dict[str, Any]) -> None:
        job = await submit(store, "job-0001")
        with pytest.raises(ConflictError):
            await submit(store, "job-0001", **other)
        assert await store.job(OWNER, "job-0001") == job

    async def test_unfinished_jobs_of_owner_are_limited(self, store: Store) -> None:
        await ended(store, "job-0001")
        await running(store, "job-0002")
        await submit(store, "job-0003")
        await submit(store, "job-0004", owner="bob")
        with pytest.raises(QueueFullError):
            await store.submit(new_job("job-0005"), max_queued=2)
        with pytest.raises(NotFoundError):
            await store.job(OWNER, "job-0005")
        assert (await store.submit(new_job("job-0005"), max_queued=3))[1]

    async def test_queue_limit_holds_for_concurrent_submits(self, store: Store) -> None:
        tries = [store.submit(new_job(f"job-{n:04}"), max_queued=3) for n in range(8)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, QueueFullError) for result in results) == 5
        assert await store.counts(OWNER) == {"queued": 3}

    async def test_job_follows_newest_job_of_its_thread(self, store: Store) -> None:
        assert (await submit(store, "job-0001", thread="t")).previous is None
        await submit(store, "job-0002", thread="other")
        await submit(store, "job-0003", thread="t", owner="bob")
        assert (await submit(store, "job-0004", thread="t")).previous == "job-0001"
        assert (await submit(store, "job-0005", thread="t")).previous == "job-0004"
        assert (await submit(store, "job-0006")).previous is None

    async def test_owner_does_not_see_jobs_of_others(self, store: Store) -> None:
        job = await running(store)
        await store.end(OWNER, job.id, DONE)
        (notice,) = await store.notices(OWNER, "")
        for refused in (
            store.job("bob", job.id),
            store.events(msgspec.structs.replace(job, owner="bob"), after=0, max_bytes=ALL),
            store.end("bob", job.id, Cancelled(at=1.0)),
            store.delete("bob", job.id),
            store.mark_seen("bob", "", job.id, seq=9, at=1.0),
            store.dismiss("bob", "", notice.id, at=60.0),
        ):
            with pytest.raises(NotFoundError):
                await refused
        await store.mark_read("bob", "", ids=[notice.id], at=1.0)
        assert await store.notices(OWNER, "") == [notice]
        assert await store.notices("bob", "") == []
        assert await store.counts("bob") == {}
        assert await ids_of(store, "bob") == []

    async def test_same_id_of_two_owners_is_two_jobs(self, store: Store) -> None:
        await submit(store, "job-0001", prompt="one")
        await submit(store, "job-0001", prompt="two", owner="bob")
        assert (await store.job(OWNER, "job-0001")).spec.title == "one"
        assert (await store.job("bob", "job-0001")).spec.title == "two"


class ClaimContract:
    """Claims: fences, order and due times."""

    async def test_claim_begins_attempt(self, store: Store) -> None:
        await submit(store, "job-0001")
        (job,) = await claim(store, at=21.5)
        assert (job.status, job.fence, job.attempt, job.seq, job.started_at) == ("running", 1, 1, 2, 21.5)
        assert await store.job(OWNER, "job-0001") == job
        assert (await log_of(store))[1] == Attempt(seq=2, attempt=1, at=21.5)
        assert await claim(store) == []

    async def test_claim_takes_interactive_before_bulk_and_old_before_new(self, store: Store) -> None:
        for job_id, priority in (("job-0001", "bulk"), ("job-0002", "interactive"), ("job-0003", "interactive")):
            await submit(store, job_id, priority=priority)
        assert [job.id for job in await claim(store, limit=2)] == ["job-0002", "job-0003"]
        assert [job.id for job in await claim(store)] == ["job-0001"]

    async def test_server_claims_its_own_jobs_only(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        await submit(store, "job-0002")
        assert [job.id for job in await claim(store)] == ["job-0002"]
        assert [job.id for job in await claim(store, server=THERE)] == ["job-0001"]

    async def test_waiting_job_is_claimed_when_due(self, store: Store) -> None:
        job = await running(store)
        await append(
            store, job, [*text_deltas("a"), Waiting(at=30.0, until=40.0, code="rate_limited", message="Later.")]
        )
        waiting = await store.job(OWNER, job.id)
        assert (waiting.status, waiting.not_before) == ("waiting", 40.0)
        with pytest.raises(IllegalEventError):
            await append(store, job, text_deltas("b"))
        assert await claim(store, at=39.9) == []
        (again,) = await claim(store, at=40.0)
        assert (again.status, again.not_before, again.attempt, again.fence) == ("running", None, 2, 2)
        assert [event.attempt for event in await log_of(store)] == [0, 1, 1, 1, 2]

    async def test_job_waits_for_predecessor_in_thread(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t")
        await submit(store, "job-0002", thread="t")
        assert [job.id for job in await claim(store)] == ["job-0001"]
        assert await claim(store) == []
        await store.end(OWNER, "job-0001", Failed(at=30.0, code="internal", message="No."))
        assert [job.id for job in await claim(store)] == ["job-0002"]

    async def test_job_waits_for_all_predecessors_in_thread(self, store: Store) -> None:
        for number in (1, 2, 3):
            await submit(store, f"job-000{number}", thread="t")
        await submit(store, "job-0004", thread="other")
        assert [job.id for job in await claim(store)] == ["job-0001", "job-0004"]
        await store.end(OWNER, "job-0002", Cancelled(at=30.0))
        assert await claim(store) == []
        await store.end(OWNER, "job-0001", Failed(at=30.0, code="internal", message="No."))
        assert [job.id for job in await claim(store)] == ["job-0003"]

    async def test_deleted_predecessor_blocks_no_job(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await submit(store, "job-0002", thread="t")
        await store.delete(OWNER, "job-0001")
        (job,) = await claim(store)
        assert (job.id, job.previous) == ("job-0002", None)

    async def test_deleted_turn_leaves_no_gap_in_thread(self, store: Store) -> None:
        for owner in ("bob", OWNER):
            for number in (1, 2, 3):
                await ended(store, f"job-{number:04}", thread="t", owner=owner)
            await submit(store, "job-0004", thread="t", owner=owner)
            await submit(store, "job-0005", thread="t", owner=owner)
        await store.delete(OWNER, "job-0003")
        await store.delete(OWNER, "job-0002")
        assert [(job.owner, job.id, job.previous) for job in await claim(store)] == [(OWNER, "job-0004", "job-0001")]
        assert (await store.job(OWNER, "job-0005")).previous == "job-0004"
        assert (await store.job("bob", "job-0004")).previous == "job-0003"
        await store.delete(OWNER, "job-0001")
        assert (await store.job(OWNER, "job-0004")).previous is None

    async def test_job_behind_deleted_turn_waits_for_earlier_running_job(self, store: Store) -> None:
        for number in (1, 2, 3):
            await submit(store, f"job-{number:04}", thread="t")
        assert [job.id for job in await claim(store)] == ["job-0001"]
        await store.end(OWNER, "job-0002", Cancelled(at=30.0))
        await store.delete(OWNER, "job-0002")
        assert await claim(store) == []
        await store.end(OWNER, "job-0001", DONE)
        assert [job.id for job in await claim(store)] == ["job-0003"]

    async def test_resubmitted_id_waits_in_thread_and_blocks_no_earlier_job(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await ended(store, "job-0002", thread="t")
        await submit(store, "job-0003", thread="t")
        await store.delete(OWNER, "job-0002")
        again = await submit(store, "job-0002", thread="t")
        assert again.previous == "job-0003"
        assert [(job.id, job.previous) for job in await claim(store)] == [("job-0003", "job-0001")]
        assert await claim(store) == []
        await store.end(OWNER, "job-0003", DONE)
        assert [job.id for job in await claim(store)] == ["job-0002"]

    async def test_history_is_stored_with_job(self, store: Store) -> None:
        job = await running(store)
        history = (Message(role="user", content="Hello"), Message(role="assistant", content="Hello yourself"))
        frozen = await store.set_history(job, history)
        assert (frozen.history, frozen.spec, frozen.seq) == (history, job.spec, job.seq)
        await append(store, job, text_deltas("a"))
        assert (await store.job(OWNER, job.id)).history == history

    async def test_fenced_writer_sets_no_history(self, store: Store) -> None:
        job = await running(store)
        await store.end(OWNER, job.id, DONE)
        with pytest.raises(FencedError):
            await store.set_history(job, (Message(role="user", content="Hello"),))
        assert (await store.job(OWNER, job.id)).history == ()


class LogContract:
    """Logs: dense numbers, unchanged bytes, and refused writers."""

    async def test_events_are_numbered_by_store(self, store: Store) -> None:
        job = await running(store)
        assert await append(store, job, text_deltas("The ", "sky")) == 4
        assert await append(store, job, [Delta(channel="reasoning", text="\u2028 \U0001f600\n")]) == 5
        assert await store.events(job, after=2, max_bytes=ALL) == [
            b'{"seq":3,"attempt":1,"type":"delta","channel":"text","text":"The "}',
            b'{"seq":4,"attempt":1,"type":"delta","channel":"text","text":"sky"}',
            '{"seq":5,"attempt":1,"type":"delta","channel":"reasoning","text":"\u2028 \U0001f600\\n"}'.encode(),
        ]
        assert (await store.job(OWNER, job.id)).seq == 5

    async def test_log_is_read_from_any_position_and_in_pages(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, text_deltas(*"abcdefg"))
        await append(store, job, text_deltas(*"hij"))
        whole = await store.events(job, after=0, max_bytes=ALL)
        assert len(whole) == 12
        for after in range(len(whole) + 2):
            assert await store.events(job, after=after, max_bytes=ALL) == whole[after:]
            rest, length = whole[after:], len(whole[5])
            for max_bytes, count in ((1, 1), (3 * length, 3), (3 * length + 1, 3)):
                found = await store.events(job, after=after, max_bytes=max_bytes)
                assert found == rest[: len(found)]
                assert after < 2 or len(found) <= count
                assert not rest or found

    async def test_deleted_log_is_not_found_after_id_is_reused(self, store: Store) -> None:
        old, new = await anew(store)
        await append(store, new, text_deltas("The new text"))
        for after in (0, 2, 99):
            with pytest.raises(NotFoundError):
                await store.events(old, after=after, max_bytes=ALL)
        assert len(await store.events(new, after=0, max_bytes=ALL)) == 3

    async def test_writer_of_deleted_job_cannot_write_job_with_same_id(self, store: Store) -> None:
        old, new = await anew(store)
        changes = store.changes()
        for refused in (
            append(store, old, text_deltas("old")),
            append(store, old, [Waiting(at=30.0, until=31.0, code="rate_limited", message="Later.")]),
            store.set_history(old, (Message(role="user", content="Hello"),)),
        ):
            with pytest.raises(FencedError):
                await refused
        assert await store.job(OWNER, new.id) == new
        assert await append(store, new, text_deltas("new")) == 3
        assert [change.seq for change in await take(changes)] == [3]

    async def test_job_has_usage_and_preview(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, text_deltas("The sky"), preview="The sky")
        await append(store, job, [Usage(input_tokens=3), *text_deltas(" is"), Usage(input_tokens=3, output_tokens=7)])
        now = await store.job(OWNER, job.id)
        assert (now.preview, now.usage) == ("The sky", Usage(input_tokens=3, output_tokens=7))
        (shown,) = (await store.jobs(OWNER, JobFilter()))[0]
        assert (shown.spec.messages, shown.history) == ((), ())  # lists contain no prompts
        assert msgspec.structs.replace(shown, spec=now.spec, history=now.history) == now

    async def test_new_attempt_is_in_same_log(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [Usage(input_tokens=3), Attempt(at=30.0, reason="retry"), *text_deltas("a")])
        now = await store.job(OWNER, job.id)
        assert (now.attempt, now.fence, now.usage, now.started_at) == (2, 1, None, 20.0)
        assert [event.attempt for event in await log_of(store)] == [0, 1, 1, 2, 2]

    async def test_job_equals_fold_of_its_log(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [*text_deltas("a", "b"), Usage(output_tokens=2)])
        job, _ = await store.end(OWNER, job.id, Failed(at=30.0, code="truncated", message="Cut."), fence=job.fence)
        answer = fold(await log_of(store))
        for name in ("status", "seq", "attempt", "finish_reason", "error", "not_before"):
            assert getattr(answer, name) == getattr(job, name)

    @pytest.mark.parametrize("event", [DONE, Cancelled(at=1.0), Failed(at=1.0, code="internal", message="No.")])
    async def test_append_of_end_is_refused(self, store: Store, event: End) -> None:
        job = await running(store)
        with pytest.raises(IllegalEventError):
            await append(store, job, [*text_deltas("a"), event])
        assert len(await log_of(store)) == 2

    async def test_append_with_old_fence_is_refused(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [Waiting(at=30.0, until=31.0, code="rate_limited", message="Later.")])
        (again,) = await claim(store, at=32.0)
        with pytest.raises(FencedError):
            await append(store, job, text_deltas("old"))
        with pytest.raises(FencedError):
            await store.set_history(job, ())
        assert await append(store, again, text_deltas("new")) == 5

    async def test_append_to_ended_or_deleted_job_is_refused(self, store: Store) -> None:
        job = await running(store)
        await store.end(OWNER, job.id, Cancelled(at=30.0))
        with pytest.raises(FencedError):
            await append(store, job, text_deltas("late"))
        assert len(await log_of(store)) == 3
        await store.delete(OWNER, job.id)
        with pytest.raises(FencedError):
            await append(store, job, text_deltas("later"))

    async def test_refused_write_keeps_concurrent_writes(self, store: Store) -> None:
        good, bad = await running(store, "job-0001"), await running(store, "job-0002")
        await store.end(OWNER, bad.id, Cancelled(at=30.0))
        writes = [append(store, job, text_deltas("a")) for job in (good, bad, good, bad, good)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results] == [int, FencedError, int, FencedError, int]
        assert [event.seq for event in await log_of(store)] == [1, 2, 3, 4, 5]


class EndContract:
    """Ends: the first one wins and creates one notice; and deletion."""

    async def test_second_end_changes_nothing(self, store: Store) -> None:
        job = await running(store)
        first, won = await store.end(OWNER, job.id, DONE, fence=job.fence)
        assert won
        assert (first.status, first.ended_at, first.finish_reason, first.seq) == ("completed", 50.0, "stop", 3)
        for late in (Cancelled(at=60.0), Failed(at=60.0, code="internal", message="No."), DONE):
            assert await store.end(OWNER, job.id, late) == (first, False)
            assert await store.end(OWNER, job.id, late, fence=0) == (first, False)
        assert len(await log_of(store)) == 3
        assert len(await store.notices(OWNER, "")) == 1

    async def test_one_of_concurrent_ends_wins(self, store: Store) -> None:
        job = await running(store)
        results = await asyncio.gather(*(store.end(OWNER, job.id, Cancelled(at=float(n))) for n in range(30, 40)))
        assert sum(won for _, won in results) == 1
        assert len({job.ended_at for job, _ in results}) == 1

    async def test_end_with_old_fence_is_refused(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [Waiting(at=30.0, until=31.0, code="rate_limited", message="Later.")])
        await claim(store, at=32.0)
        with pytest.raises(FencedError):
            await store.end(OWNER, job.id, DONE, fence=job.fence)
        ended_job, won = await store.end(OWNER, job.id, Interrupted(at=40.0, code="server_died", message="Dead."))
        assert won
        assert ended_job.error == ErrorInfo(code="server_died", message="Dead.")

    async def test_end_with_log_ends_only_that_log(self, store: Store) -> None:
        old, new = await anew(store)
        late = Interrupted(at=40.0, code="server_died", message="Dead.")
        for fence in (None, old.fence):
            with pytest.raises(NotFoundError):
                await store.end(OWNER, old.id, late, fence=fence, log=old.log)
        assert await store.job(OWNER, new.id) == new
        assert await store.notices(OWNER, "") == []
        ended_job, won = await store.end(OWNER, new.id, DONE, fence=new.fence, log=new.log)
        assert (won, ended_job.status) == (True, "completed")
        assert await store.end(OWNER, new.id, late, log=new.log) == (ended_job, False)
        with pytest.raises(NotFoundError):
            await store.end(OWNER, old.id, late, log=old.log)
        assert await store.job(OWNER, new.id) == ended_job

    async def test_illegal_end_is_refused(self, store: Store) -> None:
        await submit(store, "job-0001")
        with pytest.raises(IllegalEventError):
            await store.end(OWNER, "job-0001", DONE)
        with pytest.raises(IllegalEventError):
            await store.end(OWNER, "job-0001", Delta(channel="text", text="no end"))
        assert (await store.job(OWNER, "job-0001")).status == "queued"
        assert (await store.end(OWNER, "job-0001", Cancelled(at=30.0)))[1]

    async def test_end_creates_unread_notice(self, store: Store) -> None:
        source = JobSource(notebook="n.ipynb", cell="c")
        job = await running(store, title="Sky", source=source)
        await append(store, job, text_deltas("It is"), preview="It is")
        await store.end(OWNER, job.id, DONE)
        (notice,) = await store.notices(OWNER, "")
        assert (notice.job, notice.owner, notice.status, notice.title) == (job.id, OWNER, "completed", "Sky")
        assert (notice.preview, notice.source, notice.created_at, notice.read_at) == ("It is", source, 50.0, None)

    async def test_cancelled_job_creates_no_notice(self, store: Store) -> None:
        await ended(store, end=Cancelled(at=30.0))
        assert await store.notices(OWNER, "") == []

    async def test_unfinished_job_is_not_deleted(self, store: Store) -> None:
        await submit(store, "job-0001")
        with pytest.raises(ConflictError):
            await store.delete(OWNER, "job-0001")
        with pytest.raises(NotFoundError):
            await store.delete(OWNER, "job-0002")

    async def test_deletion_removes_job_log_and_notice(self, store: Store) -> None:
        job = await ended(store)
        kept = await ended(store, "job-0002")
        await store.delete(OWNER, "job-0001")
        for refused in (
            store.job(OWNER, "job-0001"),
            store.events(job, after=0, max_bytes=ALL),
            store.end(OWNER, "job-0001", DONE),
            store.delete(OWNER, "job-0001"),
        ):
            with pytest.raises(NotFoundError):
                await refused
        assert [notice.job for notice in await store.notices(OWNER, "")] == [kept.id]
        assert len(await log_of(store, "job-0002")) == 3

    async def test_deleted_id_can_be_reused_with_new_log(self, store: Store) -> None:
        await ended(store)
        await store.delete(OWNER, "job-0001")
        await submit(store, "job-0001", prompt="Something else")
        assert [event.seq for event in await log_of(store)] == [1]

    async def test_patience_can_be_lowered_at_any_time(self, store: Store) -> None:
        assert store.patience > 2.0
        job = await running(store)
        store.patience = 2.0
        assert await append(store, job, text_deltas("a")) == 3
        assert store.patience == 2.0

    async def test_unfinished_jobs_of_dead_servers_are_abandoned(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        await submit(store, "job-0002", server=THERE, owner="bob")
        await submit(store, "job-0003", server=THERE)
        await running(store, "job-0004")
        await store.end(OWNER, "job-0003", Cancelled(at=30.0))
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=99)] == ["job-0001", "job-0002"]


class IdContract:
    """Malformed ids."""

    @pytest.mark.parametrize("id", ["", "a b", "\0", "\ud800", "x" * 65])
    async def test_malformed_id_is_not_found(self, store: Store, id: str) -> None:
        await submit(store, "job-0001")
        for call in (
            lambda: store.job(OWNER, id),
            lambda: store.end(OWNER, id, DONE),
            lambda: store.delete(OWNER, id),
            lambda: store.image(OWNER, "job-0001", id),
            lambda: store.batch(OWNER, id),
            lambda: store.progress(OWNER, id),
            lambda: store.resume_batch(OWNER, id),
            lambda: store.dismiss(OWNER, "", id, at=1.0),
        ):
            with pytest.raises(NotFoundError):
                await call()


class ListContract:
    """Lists: newest first, in pages, by any combination of filters."""

    async def test_filters_combine(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t", tags=("red", "blue"))
        await submit(store, "job-0002", thread="t", batch="g", source=JobSource(notebook="a.ipynb"))
        await submit(store, "job-0003", tags=("red",), batch="g", source=JobSource(notebook="a.ipynb"))
        await store.end(OWNER, "job-0002", Cancelled(at=30.0))
        expected: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [3, 2, 1]),
            ({"status": "queued"}, [3, 1]),
            ({"status": "running"}, []),
            ({"thread": "t"}, [2, 1]),
            ({"notebook": "a.ipynb"}, [3, 2]),
            ({"batch": "g"}, [3, 2]),
            ({"tag": "red"}, [3, 1]),
            ({"tag": "re"}, []),
            ({"ids": ("job-0003", "job-0001", "job-none")}, [3, 1]),
            ({"ids": ()}, []),
            ({"thread": "t", "tag": "blue", "status": "queued"}, [1]),
            ({"batch": "g", "status": "cancelled", "ids": ("job-0002",)}, [2]),
            ({"batch": "g", "thread": "none"}, []),
        ]
        for fields, numbers in expected:
            assert await ids_of(store, **fields) == [f"job-{number:04}" for number in numbers], fields

    async def test_pages_of_jobs_neither_repeat_nor_skip(self, store: Store) -> None:
        for number in range(1, 8):
            await submit(store, f"job-{number:04}")
        page, after = await store.jobs(OWNER, JobFilter(limit=3))
        seen = [job.id for job in page]
        await submit(store, "job-0008")
        await store.end(OWNER, "job-0005", Cancelled(at=30.0))
        await store.delete(OWNER, "job-0005")
        while after is not None:
            page, after = await store.jobs(OWNER, JobFilter(limit=2, after=after))
            seen.extend(job.id for job in page)
        assert seen == [f"job-{number:04}" for number in (7, 6, 5, 4, 3, 2, 1)]

    async def test_full_last_page_has_no_next(self, store: Store) -> None:
        for number in range(1, 5):
            await submit(store, f"job-{number:04}")
        _, after = await store.jobs(OWNER, JobFilter(limit=2))
        page, after = await store.jobs(OWNER, JobFilter(limit=2, after=after))
        assert (len(page), after) == (2, None)

    @pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "9" * 30, "٣"])  # a digit, but not ours
    async def test_invalid_page_is_refused(self, store: Store, text: str) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            await store.jobs(OWNER, JobFilter(after=text))
        assert caught.value.field == "cursor"

    async def test_jobs_are_counted_by_status(self, store: Store) -> None:
        await ended(store, "job-0001")
        await running(store, "job-0002")
        await submit(store, "job-0003")
        await submit(store, "job-0004")
        assert await store.counts(OWNER) == {"completed": 1, "running": 1, "queued": 2}


class NoticeContract:
    """The inbox: stored on the server, with a read state per viewer."""

    async def test_notices_come_newest_first(self, store: Store) -> None:
        for number in (1, 2, 3):
            await ended(store, f"job-{number:04}")
        assert [notice.job for notice in await store.notices(OWNER, "")] == ["job-0003", "job-0002", "job-0001"]

    async def test_notices_are_marked_read_once(self, store: Store) -> None:
        await ended(store, "job-0001")
        await ended(store, "job-0002")
        first = (await store.notices(OWNER, ""))[1]
        await store.mark_read(OWNER, "", ids=[first.id, "no such notice"], at=60.0)
        assert [notice.read_at for notice in await store.notices(OWNER, "")] == [None, 60.0]
        await store.mark_read(OWNER, "", ids=None, at=70.0)
        assert [notice.read_at for notice in await store.notices(OWNER, "")] == [70.0, 60.0]

    async def test_read_and_dismissed_notices_are_per_viewer(self, store: Store) -> None:
        await ended(store)
        (notice,) = await store.notices(OWNER, "eve")
        await store.mark_read(OWNER, "eve", ids=None, at=60.0)
        await store.dismiss(OWNER, "joe", notice.id, at=60.0)
        assert [notice.read_at for notice in await store.notices(OWNER, "eve")] == [60.0]
        assert [notice.read_at for notice in await store.notices(OWNER, "")] == [None]
        assert await store.notices(OWNER, "joe") == []

    async def test_seen_job_marks_notice_read_only_at_its_end(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, text_deltas("a", "b"))
        await store.mark_seen(OWNER, "", job.id, seq=4, at=40.0)
        await store.end(OWNER, job.id, DONE)
        await store.mark_seen(OWNER, "", job.id, seq=4, at=60.0)
        assert [notice.read_at for notice in await store.notices(OWNER, "")] == [None]
        await store.mark_seen(OWNER, "", job.id, seq=5, at=61.0)
        await store.mark_seen(OWNER, "", job.id, seq=5, at=62.0)
        assert [notice.read_at for notice in await store.notices(OWNER, "")] == [61.0]
        with pytest.raises(NotFoundError):
            await store.mark_seen(OWNER, "", "job-none", seq=5, at=62.0)

    async def test_dismissed_notice_does_not_return(self, store: Store) -> None:
        job = await ended(store)
        (notice,) = await store.notices(OWNER, "")
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        await store.dismiss(OWNER, "", notice.id, at=60.0)
        await store.mark_read(OWNER, "", ids=None, at=61.0)
        await store.mark_seen(OWNER, "", job.id, seq=job.seq, at=62.0)
        assert await store.notices(OWNER, "") == []
        with pytest.raises(NotFoundError):
            await store.dismiss(OWNER, "", notice.id, at=60.0)


class ChangesContract:
    """Changes: every commit, in order, after it was made."""

    async def test_changes_contain_every_commit_in_order_with_its_events(self, store: Store) -> None:
        await submit(store, "job-none")
        await store.end(OWNER, "job-none", Cancelled(at=5.0))
        changes = store.changes()
        job = await running(store)
        await append(store, job, text_deltas("a", "b"))
        await store.end(OWNER, job.id, DONE)
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        whole = tuple(await store.events(job, after=0, max_bytes=ALL))
        await store.delete(OWNER, job.id)
        gone = Change(kind="deleted", owner=OWNER, job=job.id)
        noticed = Change(kind="notice", owner=OWNER, job=job.id)
        grown = Change(kind="job", owner=OWNER, job=job.id)
        assert await take(changes, until=gone) == [
            _at(grown, "queued", whole[:1], 1),
            _at(grown, "running", whole[1:2], 2),
            _at(Change(kind="events", owner=OWNER, job=job.id), "running", whole[2:4], 4),
            _at(grown, "completed", whole[4:], 5),
            noticed,
            noticed,
        ]

    async def test_operation_without_effect_is_no_change(self, store: Store) -> None:
        changes = store.changes()
        job = await ended(store, end=Cancelled(at=30.0))
        await store.submit(new_job(job.id), max_queued=1)
        await store.end(OWNER, job.id, DONE)
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        await store.mark_seen(OWNER, "", job.id, seq=3, at=60.0)
        with pytest.raises(FencedError):
            await append(store, job, text_deltas("late"))
        await store.delete(OWNER, job.id)
        taken = await take(changes, until=Change(kind="deleted", owner=OWNER, job=job.id))
        assert [change.status for change in taken] == ["queued", "running", "cancelled"]

    async def test_changed_events_can_be_read(self, store: Store) -> None:
        changes = store.changes()
        job = await running(store)
        writes = [asyncio.create_task(append(store, job, text_deltas(f"{n} "))) for n in range(50)]
        tail = 0
        while tail < 52:
            for change in await take(changes):
                stored = await store.events(job, after=change.seq - len(change.events), max_bytes=ALL)
                assert tuple(stored[: len(change.events)]) == change.events
                assert change.seq == tail + len(change.events)
                tail = change.seq
        assert sorted(await asyncio.gather(*writes)) == list(range(3, 53))

    async def test_every_subscriber_receives_changes(self, store: Store) -> None:
        first = store.changes()
        await submit(store, "job-0001")
        second = store.changes()
        await submit(store, "job-0002")
        last = await take(second)
        assert [change.job for change in last] == ["job-0002"]
        assert [change.job for change in await take(first, until=last[0])] == ["job-0001"]

    async def test_slow_subscriber_receives_every_change_without_events(self, store: Store) -> None:
        slow = store.changes()
        job = await running(store)
        big = "x" * 1_000_000
        for _ in range(9):
            await append(store, job, text_deltas(big))
        await store.end(OWNER, job.id, DONE)
        last = Change(kind="notice", owner=OWNER, job=job.id)
        taken = await take(slow, until=last)
        assert sum(len(event) for change in taken for event in change.events) < 8_000_000
        assert (taken[-1].status, taken[-1].seq) == ("completed", 12)
        assert "job" in {change.kind for change in taken}

    async def test_close_ends_iterators_and_refuses_operations(self, store: Store) -> None:
        changes = store.changes()
        job = await running(store)
        rest = asyncio.create_task(take(changes, until=Change(kind="deleted", owner="none", job="none")))
        await store.close()
        await store.close()
        assert [change.status for change in await rest] == ["queued", "running"]
        for refused in (
            store.submit(new_job("job-0002"), max_queued=9),
            append(store, job, text_deltas("late")),
            store.job(OWNER, job.id),
            store.notices(OWNER, ""),
        ):
            with pytest.raises(UnavailableError):
                await refused


class StoreContract(
    AppendContract,
    BatchContract,
    PauseContract,
    SubmitContract,
    ClaimContract,
    LogContract,
    EndContract,
    IdContract,
    ListContract,
    NoticeContract,
    ChangesContract,
    LifecycleContract,
    RetentionContract,
    CostContract,
    ResumeContract,
    SubmitterContract,
    ThreadContract,
    ImageContract,
):
    """All contract tests of a store."""


def _at(change: Change, status: Any, events: tuple[bytes, ...], seq: int) -> Change:
    return Change(kind=change.kind, owner=change.owner, job=change.job, status=status, events=events, seq=seq)
