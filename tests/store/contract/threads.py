"""Contract tests of stores: threads; a part of StoreContract."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from store.factories import DONE, OWNER, claim, ended, ids_of, new_job, running, submit, take

from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.errors import ConflictError, InvalidRequestError, NotFoundError
from jupyter_bgstream.core.events import Cancelled, Failed
from jupyter_bgstream.core.job import Turn
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Mute
from jupyter_bgstream.core.schemas.threads import ThreadInfo
from jupyter_bgstream.core.threads import Conversation, Fork
from jupyter_bgstream.store.port_values import Change, JobFilter
from jupyter_bgstream.store.ports.store import Store

STOPPED = Cancelled(at=60.0)
CONVERSATION = Conversation(
    messages=(Message(role="user", content="Why?"), Message(role="assistant", content="Because.")),
    turns=(Turn(job="job-0001", messages=2),),
)


def fork(name: str = "new", **fields: Any) -> Fork:
    """Make a fork of the thread t."""
    made = Fork(
        owner=OWNER,
        name=name,
        origin="t",
        model="open/small",
        title="Why?",
        conversation=CONVERSATION,
        created_at=70.0,
        touched_at=70.0,
    )
    return msgspec.structs.replace(made, **fields)


async def names_of(store: Store, owner: str = OWNER) -> list[str]:
    """List the names of an owner's threads."""
    threads, _ = await store.threads(owner, limit=100)
    return [thread.name for thread in threads]


class ThreadContract:
    """Threads: listed by their newest job; forks; unique names."""

    async def test_thread_is_derived_from_its_jobs(self, store: Store) -> None:
        with pytest.raises(NotFoundError):
            await store.thread(OWNER, "t")
        await ended(store, "job-0001", thread="t", prompt="First?")
        await submit(store, "job-0002", thread="t", prompt="Second?", model="open/large", created_at=55.0)
        expected = ThreadInfo(
            name="t",
            jobs=2,
            status="queued",
            model="open/large",
            title="Second?",
            created_at=10.0,
            updated_at=55.0,
        )
        assert await store.thread(OWNER, "t") == expected
        assert await store.threads(OWNER, limit=9) == ([expected], None)
        with pytest.raises(NotFoundError):
            await store.thread("bob", "t")

    async def test_status_of_thread_is_that_of_unfinished_or_last_turn(self, store: Store) -> None:
        await running(store, "job-0001", thread="t")
        await submit(store, "job-0002", thread="t")
        assert (await store.thread(OWNER, "t")).status == "running"
        await store.end(OWNER, "job-0001", DONE)
        assert (await store.thread(OWNER, "t")).status == "queued"
        await store.end(OWNER, "job-0002", Failed(at=51.0, code="internal", message="No."))
        assert (await store.thread(OWNER, "t")).status == "failed"

    async def test_retried_turn_counts_once_as_its_newest_retry(self, store: Store) -> None:
        await ended(store, "job-0001", Failed(at=50.0, code="internal", message="No."), thread="t")
        again = await ended(store, "job-0002", thread="t", retry_of="job-0001", model="open/large")
        thread = await store.thread(OWNER, "t")
        assert (thread.jobs, thread.status, thread.model) == (1, "completed", "open/large")
        assert await store.last_turn(OWNER, "t") == again
        await ended(store, "job-0003", thread="t")
        last = await store.last_turn(OWNER, "t")
        assert last is not None
        assert (last.id, last.spec.messages[0].text) == ("job-0003", "Why is the sky blue?")
        assert await store.last_turn("bob", "t") is None

    async def test_threads_come_newest_first_in_pages(self, store: Store) -> None:
        for n, name in enumerate(["a", "b", "c", "a"], 1):
            await ended(store, f"job-000{n}", thread=name)
        await submit(store, "job-0005")  # of none
        await submit(store, "job-0006", thread="d", owner="bob")
        await store.fork(fork("e", origin="b"))
        await ended(store, "job-0007", thread="b")
        assert await names_of(store) == ["b", "e", "a", "c"]
        found, after = await store.threads(OWNER, limit=3)
        assert ([thread.name for thread in found], after is None) == (["b", "e", "a"], False)
        found, after = await store.threads(OWNER, limit=3, after=after)
        assert ([thread.name for thread in found], after) == (["c"], None)
        assert await store.threads(OWNER, limit=4) == (await store.threads(OWNER, limit=9))
        with pytest.raises(InvalidRequestError):
            await store.threads(OWNER, limit=3, after="x")

    async def test_fork_without_jobs_is_a_thread(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await store.fork(fork())
        assert await store.fork_of(OWNER, "new") == fork()
        assert await store.fork_of(OWNER, "t") is None
        assert await store.fork_of("bob", "new") is None
        assert await store.last_turn(OWNER, "new") is None
        assert await store.thread(OWNER, "new") == ThreadInfo(
            name="new",
            jobs=0,
            status="completed",
            model="open/small",
            title="Why?",
            created_at=70.0,
            updated_at=70.0,
            forked_from="t",
        )
        assert (await submit(store, "job-0002", thread="new", created_at=80.0)).previous is None
        thread = await store.thread(OWNER, "new")
        assert (thread.jobs, thread.status, thread.created_at, thread.updated_at) == (1, "queued", 70.0, 80.0)
        assert thread.forked_from == "t"

    async def test_fork_can_precede_every_job(self, store: Store) -> None:
        await store.fork(fork("one"))
        await store.fork(fork("two"))
        assert await names_of(store) == ["two", "one"]
        await submit(store, "job-0001", thread="one")
        assert await names_of(store) == ["one", "two"]

    async def test_name_of_other_thread_is_refused(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t")
        await submit(store, "job-0002", thread="other", owner="bob")
        await store.fork(fork("new"))
        for taken in ("t", "new"):
            with pytest.raises(ConflictError):
                await store.fork(fork(taken))
        with pytest.raises(ConflictError):
            await store.rename_thread(OWNER, "t", "new")
        with pytest.raises(ConflictError):
            await store.rename_thread(OWNER, "new", "t")
        await store.fork(fork("other"))
        assert await names_of(store, "bob") == ["other"]

    async def test_fork_keeps_conversation_after_change_of_origin(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await store.fork(fork())
        await store.rename_thread(OWNER, "t", "u")
        assert await store.fork_of(OWNER, "new") == fork(origin="u")
        await store.delete_thread(OWNER, "u", STOPPED)
        assert await store.fork_of(OWNER, "new") == fork(origin=None)
        assert await names_of(store) == ["new"]

    async def test_fork_without_jobs_exists_until_forgotten(self, store: Store) -> None:
        await store.fork(fork("idle"))
        await store.fork(fork("used"))
        await store.fork(fork("left"))
        await submit(store, "job-0001", thread="used")
        await ended(store, "job-0002", Cancelled(at=90.0), thread="left")
        await store.delete(OWNER, "job-0002")
        assert (await store.thread(OWNER, "left")).updated_at == 90.0
        assert await store.forget_forks(owner=None, before=70.0) == 0
        assert await store.forget_forks(owner=None, before=70.1) == 1
        assert await names_of(store) == ["used", "left"]
        assert await store.forget_forks(owner=None, before=90.1) == 1
        assert await names_of(store) == ["used"]

    async def test_forks_are_forgotten_by_owner(self, store: Store) -> None:
        for owner in (OWNER, "bob"):
            await store.fork(msgspec.structs.replace(fork("idle"), owner=owner))
        assert await store.forget_forks(owner=OWNER, before=99.0) == 1
        assert await store.fork_of("bob", "idle") is not None
        assert await store.forget_forks(owner=None, before=99.0) == 1

    async def test_rename_applies_to_jobs_notices_and_forks(self, store: Store) -> None:
        done = await ended(store, "job-0001", thread="t")
        await store.fork(fork("branch"))
        going = await running(store, "job-0002", thread="t")
        await submit(store, "job-0003", thread="t")
        await submit(store, "job-0004", thread="t", owner="bob")
        changes = store.changes()
        await store.rename_thread(OWNER, "t", "u")
        received = await take(changes)
        assert {(change.kind, change.subject, change.status) for change in received} == {
            ("job", "job-0001", "completed"),
            ("job", "job-0002", "running"),
            ("job", "job-0003", "queued"),
            ("notice", "", None),
        }
        assert await ids_of(store, thread="u") == ["job-0003", "job-0002", "job-0001"]
        assert await ids_of(store, thread="t") == []
        assert await ids_of(store, "bob", thread="t") == ["job-0004"]
        (listed, *_), _ = await store.jobs(OWNER, JobFilter(thread="u"))
        assert (listed.thread, (await store.job(OWNER, done.id)).thread) == ("u", "u")
        assert [notice.thread for notice in await store.notices(OWNER, "")] == ["u"]
        # A running job continues, its notice has the new name, and the order stays.
        assert [job.id for job in await claim(store)] == ["job-0004"]
        await store.end(OWNER, going.id, DONE, fence=going.fence)
        assert [notice.thread for notice in await store.notices(OWNER, "")] == ["u", "u"]
        assert [job.id for job in await claim(store)] == ["job-0003"]
        assert (await submit(store, "job-0005", thread="u")).previous == "job-0003"
        assert (await submit(store, "job-0006", thread="t")).previous is None

    async def test_repeated_submit_after_rename_is_same_job(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t")
        await store.rename_thread(OWNER, "t", "u")
        for name in ("t", "u"):
            job, new = await store.submit(new_job("job-0001", thread=name), max_queued=9)
            assert (job.thread, new) == ("u", False)
        for other in ("v", None):
            with pytest.raises(ConflictError):
                await store.submit(new_job("job-0001", thread=other), max_queued=9)

    async def test_retry_after_rename_is_in_renamed_thread(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        failed = await ended(store, "job-0002", Failed(at=50.0, code="internal", message="No."), thread="t")
        await store.rename_thread(OWNER, "t", "u")
        again, _ = await store.submit(new_job("job-0003", thread="t", retry_of=failed.id), max_queued=9)
        assert (again.thread, again.previous) == ("u", "job-0001")
        assert await names_of(store) == ["u"]

    async def test_rename_to_same_name_changes_nothing(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t")
        await store.rename_thread(OWNER, "t", "t")
        assert await names_of(store) == ["t"]
        for owner, name in ((OWNER, "none"), ("bob", "t")):
            with pytest.raises(NotFoundError):
                await store.rename_thread(owner, name, "u")

    async def test_rename_applies_to_mutes(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t")
        for viewer, name in (("", "t"), ("eve", "t"), ("eve", "u"), ("eve", "other")):
            await store.mute(OWNER, viewer, Mute(kind="thread", name=name), on=True)
        await store.mute(OWNER, "", Mute(kind="notebook", name="t"), on=True)
        await store.mute("bob", "", Mute(kind="thread", name="t"), on=True)
        await store.rename_thread(OWNER, "t", "u")
        assert await store.mutes(OWNER, "") == [Mute(kind="notebook", name="t"), Mute(kind="thread", name="u")]
        assert await store.mutes(OWNER, "eve") == [Mute(kind="thread", name="other"), Mute(kind="thread", name="u")]
        assert await store.mutes("bob", "") == [Mute(kind="thread", name="t")]

    async def test_thread_is_deleted_with_jobs_of_any_status(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await ended(store, "job-0002", Failed(at=50.0, code="internal", message="No."), thread="t")
        await ended(store, "job-0003", thread="t", retry_of="job-0002")
        await submit(store, "job-0004", thread="other")
        await running(store, "job-0005", thread="t")
        await submit(store, "job-0006", thread="t")
        await submit(store, "job-0007", thread="t", owner="bob")
        changes = store.changes()
        cancelled = await store.delete_thread(OWNER, "t", STOPPED)
        assert [(job.id, job.status) for job in cancelled] == [("job-0006", "cancelled"), ("job-0005", "cancelled")]
        received = await take(changes)
        gone = {change.subject for change in received if change.kind == "deleted"}
        assert gone == {f"job-000{n}" for n in (1, 2, 3, 5, 6)}
        assert await ids_of(store) == ["job-0004"]
        assert await ids_of(store, "bob") == ["job-0007"]
        assert [notice.job for notice in await store.notices(OWNER, "") if notice.job != "job-0004"] == []
        for owner, name in ((OWNER, "t"), ("bob", "other")):
            with pytest.raises(NotFoundError):
                await store.delete_thread(owner, name, STOPPED)
        assert (await submit(store, "job-0008", thread="t")).previous is None

    async def test_deleted_fork_loses_its_conversation(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await store.fork(fork("new"))
        await store.fork(fork("newer", origin="new"))
        assert await store.delete_thread(OWNER, "new", STOPPED) == []
        assert await names_of(store) == ["newer", "t"]
        assert await store.fork_of(OWNER, "new") is None
        assert (await store.thread(OWNER, "newer")).forked_from is None

    async def test_batch_counts_jobs_cancelled_with_their_thread(self, store: Store) -> None:
        batch = Batch(spec=BatchSpec(id="batch-01", total=2), owner=OWNER, total=2, created_at=10.0)
        jobs = [new_job("job-0001", batch="batch-01", thread="t"), new_job("job-0002", batch="batch-01")]
        await store.submit_batch(batch, jobs, max_queued=9)
        await store.delete_thread(OWNER, "t", STOPPED)
        now = await store.batch(OWNER, "batch-01")
        assert (now.counts.cancelled, now.ended_at) == (1, None)

    async def test_turns_are_stored_with_history(self, store: Store) -> None:
        job = await running(store, thread="t")
        frozen = await store.set_history(job, CONVERSATION.messages, CONVERSATION.turns)
        assert await store.job(OWNER, job.id) == frozen
        assert (frozen.history, frozen.turns) == (CONVERSATION.messages, CONVERSATION.turns)
        (listed,), _ = await store.jobs(OWNER, JobFilter())
        assert (listed.history, listed.turns) == ((), ())

    async def test_changes_of_thread_come_in_order(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        changes = store.changes()
        await store.rename_thread(OWNER, "t", "u")
        await store.delete_thread(OWNER, "u", STOPPED)
        last = Change(kind="deleted", owner=OWNER, subject="job-0001")
        assert all(change.kind != "deleted" for change in await take(changes, last))
