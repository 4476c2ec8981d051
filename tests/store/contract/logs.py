"""Contract tests: logs of jobs."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from store.factories import (
    ALL,
    DONE,
    OWNER,
    anew,
    append,
    claim,
    log_of,
    running,
    take,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    FencedError,
    IllegalEventError,
    NotFoundError,
)
from jupyter_bgstream.core.events import Attempt, Cancelled, Delta, End, Failed, Usage, Waiting
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.port_values import JobFilter
from jupyter_bgstream.store.ports.store import Store


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
