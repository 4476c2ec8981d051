"""Contract tests: notices, mutes and webhook calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from store.factories import (
    ALL,
    DONE,
    OWNER,
    append,
    ended,
    running,
    submit,
    take,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    NotFoundError,
)
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.core.notices import CALL_AFTER, Mute, Notice
from jupyter_bgstream.store.ports.store import Store
from jupyter_bgstream.store.transitions import FARTHEST


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


class MuteContract:
    """Mutes: stored per viewer, and marked in the inbox."""

    async def test_mutes_are_listed_and_mark_notices(self, store: Store) -> None:
        await ended(store, "job-0001", source=JobSource(notebook="a.ipynb"))
        await ended(store, "job-0002", thread="t")
        await ended(store, "job-0003")
        mutes = [Mute(kind="notebook", name="a.ipynb"), Mute(kind="thread", name="t")]
        for mute in reversed(mutes):
            await store.mute(OWNER, "", mute, on=True)
        assert await store.mutes(OWNER, "") == mutes
        assert _muted(await store.notices(OWNER, "")) == {"job-0001", "job-0002"}
        await store.mute(OWNER, "", mutes[0], on=False)
        assert _muted(await store.notices(OWNER, "")) == {"job-0002"}

    async def test_mute_holds_for_its_viewer_only(self, store: Store) -> None:
        await ended(store, thread="t")
        await store.mute(OWNER, "eve", Mute(kind="thread", name="t"), on=True)
        assert _muted(await store.notices(OWNER, "")) == set()
        assert _muted(await store.notices(OWNER, "eve")) == {"job-0001"}
        assert await store.mutes("bob", "eve") == []

    async def test_mute_is_a_change_and_repeated_mute_is_none(self, store: Store) -> None:
        changes = store.changes()
        mute = Mute(kind="thread", name="t")
        for on in (True, True, False, False):
            await store.mute(OWNER, "", mute, on=on)
        await submit(store, "job-0001")
        received: list[tuple[str, str]] = []
        while not received or received[-1] != ("job", "job-0001"):
            received += [(change.kind, change.subject) for change in await take(changes)]
        assert received == [("notice", ""), ("notice", ""), ("job", "job-0001")]


class CallContract:
    """Webhook calls: a notice is due once it has been unseen for a while."""

    async def test_unseen_notice_is_due_for_first_caller_only(self, store: Store) -> None:
        await ended(store)
        due = 50.0 + CALL_AFTER
        assert await _calls(store, at=due - 0.1) == []
        asked = await asyncio.gather(*(_calls(store, at=due) for _ in range(3)))
        assert sorted(asked) == [[], [], ["job-0001"]]
        assert await _calls(store, at=due + 9.9) == []
        assert await _calls(store, at=due + 10.0) == ["job-0001"]
        (notice,) = await store.notices(OWNER, "")
        await store.reschedule_webhook(OWNER, notice.id)
        assert await _calls(store, at=due + 1000.0) == []

    async def test_seen_dismissed_and_muted_notices_are_not_due(self, store: Store) -> None:
        for number in range(1, 5):
            await ended(store, f"job-{number:04}", thread=f"t{number}")
        notices = {notice.job: notice.id for notice in await store.notices(OWNER, "eve")}
        await store.mark_seen(OWNER, "eve", "job-0001", seq=ALL, at=60.0)
        await store.dismiss(OWNER, "", notices["job-0002"], at=60.0)
        await store.mute(OWNER, "eve", Mute(kind="thread", name="t3"), on=True)
        assert await _calls(store, at=100.0) == ["job-0004"]

    async def test_clock_set_back_delays_no_first_webhook_call(self, store: Store) -> None:
        await ended(store)  # at 50
        assert await _calls(store, at=50.0) == []
        assert await _calls(store, at=49.9) == ["job-0001"]  # a caller at 49.9 has a clock that was set back
        assert await _calls(store, at=49.95) == []  # it was rescheduled, as any other
        assert await _calls(store, at=59.95) == ["job-0001"]

    async def test_clock_set_far_back_delays_no_webhook_call(self, store: Store) -> None:
        await ended(store)
        due = 50.0 + CALL_AFTER
        assert await _calls(store, at=due) == ["job-0001"]
        assert await _calls(store, at=due + 10.0 - FARTHEST) == []
        assert await _calls(store, at=due + 9.0 - FARTHEST) == ["job-0001"]

    async def test_old_notice_is_not_due(self, store: Store) -> None:
        await ended(store)
        assert await _calls(store, at=9000.0, since=50.1) == []
        assert await _calls(store, at=9999.0) == []

    async def test_due_webhooks_are_of_owner_and_paged(self, store: Store) -> None:
        for number in range(3):
            await ended(store, f"job-{number:04}")
        assert await _calls(store, at=100.0, owner="bob") == []
        assert len(await _calls(store, at=100.0, limit=2)) == 2
        assert len(await _calls(store, at=100.0, limit=2)) == 1


async def _calls(
    store: Store, *, at: float, since: float = 0.0, owner: str = OWNER, limit: int = 9
) -> list[str | None]:
    notices = await store.due_webhooks(owner, since=since, at=at, again=at + 10.0, limit=limit)
    return [notice.job for notice in notices]


def _muted(notices: Sequence[Notice]) -> set[str | None]:
    return {notice.job for notice in notices if notice.muted}
