"""The life of a job in the engine."""

from __future__ import annotations

import asyncio

import pytest
from engine.conftest import OWNER, Puppet, ended, shown, spec
from store.factories import ROOM
from store.model import MemoryStore

from jupyter_bgstream.core.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QueueFullError,
)
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.store.port_values import Change


async def test_job_completes_and_leaves_notice(engine: Engine, puppet: Puppet) -> None:
    job, new = await engine.jobs.submit(OWNER, spec())
    assert (new, job.status, job.spec.title) == (True, "queued", "Hello")
    (await puppet.call()).say("Good ", "day").say("!").finish()
    job = await ended(engine, job.id)
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (job.status, answer.text, job.finish_reason, job.preview) == ("completed", "Good day!", "stop", "Good day!")
    (notice,) = await engine.inbox.notices(OWNER, "")
    assert (notice.job, notice.status, notice.preview, notice.read_at) == (job.id, "completed", "Good day!", None)


async def test_repeated_submit_creates_one_job(engine: Engine, puppet: Puppet) -> None:
    first, _ = await engine.jobs.submit(OWNER, spec(), "my-own-id")
    again, new = await engine.jobs.submit(OWNER, spec(title="other title"), "my-own-id")
    assert (again.id, new) == (first.id, False)
    with pytest.raises(ConflictError):
        await engine.jobs.submit(OWNER, spec("Something else"), "my-own-id")
    await puppet.call()
    assert len(puppet.calls) == 1


async def test_cancel_keeps_text_closes_connection_and_leaves_no_notice(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("Half an ans")
    await shown(engine, job.id, "Half an ans")
    assert (await engine.jobs.cancel(OWNER, job.id)).status == "cancelled"
    async with asyncio.timeout(60):
        await call.closed.wait()
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "Half an ans"
    assert (await engine.jobs.cancel(OWNER, job.id)).status == "cancelled"
    assert await engine.inbox.notices(OWNER, "") == []


async def test_cancel_of_queued_job_never_calls_provider(engine: Engine, puppet: Puppet) -> None:
    running = [(await engine.jobs.submit(OWNER, spec()))[0] for _ in range(2)]
    calls = [await puppet.call() for _ in running]
    waiting, _ = await engine.jobs.submit(OWNER, spec())
    assert (await engine.jobs.cancel(OWNER, waiting.id)).status == "cancelled"
    for call, job in zip(calls, running, strict=True):
        call.finish()
        await ended(engine, job.id)
    assert len(puppet.calls) == 2


async def test_cancel_of_ended_job_changes_nothing(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("x").finish()
    done = await ended(engine, job.id)
    assert await engine.jobs.cancel(OWNER, job.id) == done


@pytest.mark.parametrize(
    ("error", "code"), [(ProviderError("No.", code="rate_limited"), "rate_limited"), (RuntimeError("bug"), "internal")]
)
async def test_failed_job_keeps_text_and_error(engine: Engine, puppet: Puppet, error: Exception, code: str) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("So far").fail(error)
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", code)
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "So far"
    assert [notice.status for notice in await engine.inbox.notices(OWNER, "")] == ["failed"]


async def test_unknown_provider_fails_job(engine: Engine) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec().__class__(model="nobody/x", messages=spec().messages))
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "unknown_provider")


@pytest.mark.parametrize("model", ["", "one", "/one", "puppet/"])
async def test_malformed_model_is_refused(engine: Engine, model: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await engine.jobs.submit(OWNER, spec().__class__(model=model, messages=spec().messages))
    assert refused.value.field == "model"


async def test_running_jobs_are_limited_and_oldest_starts_first(engine: Engine, puppet: Puppet) -> None:
    jobs = [(await engine.jobs.submit(OWNER, spec(str(n))))[0] for n in range(6)]
    with pytest.raises(QueueFullError):
        await engine.jobs.submit(OWNER, spec())
    order = []
    for job in jobs:
        call = await puppet.call()
        assert engine.running <= 2
        order.append(call.job.id)
        call.finish()
        await ended(engine, job.id)
    assert order == [job.id for job in jobs]


async def test_thread_sends_completed_turns_in_order(engine: Engine, puppet: Puppet) -> None:
    first, _ = await engine.jobs.submit(OWNER, spec("My name is Ada.", thread="t"))
    second, _ = await engine.jobs.submit(OWNER, spec("What is my name?", thread="t"))
    other, _ = await engine.jobs.submit(OWNER, spec("Hello", thread="another"))
    calls = {call.job.id: call for call in [await puppet.call(), await puppet.call()]}
    assert set(calls) == {first.id, other.id}  # the second waits for the first
    calls[first.id].say("Hello Ada.").finish()
    call = await puppet.call()
    said = [(message.role, message.content) for message in call.job.history]
    assert call.job.id == second.id
    assert said == [("user", "My name is Ada."), ("assistant", "Hello Ada.")]
    calls[other.id].finish()
    call.finish()


async def test_failed_turn_is_not_in_history(engine: Engine, puppet: Puppet) -> None:
    await engine.jobs.submit(OWNER, spec("one", thread="t"))
    (await puppet.call()).say("1").finish()
    await engine.jobs.submit(OWNER, spec("two", thread="t"))
    (await puppet.call()).say("half").fail(ProviderError("No.", code="truncated"))
    await engine.jobs.submit(OWNER, spec("three", thread="t"))
    call = await puppet.call()
    assert [message.content for message in call.job.history] == ["one", "1"]
    call.finish()


async def test_turn_cancelled_in_queue_keeps_history_of_thread(engine: Engine, puppet: Puppet) -> None:
    await engine.jobs.submit(OWNER, spec("one", thread="t"))
    first = await puppet.call()
    skipped, _ = await engine.jobs.submit(OWNER, spec("two", thread="t"))
    await engine.jobs.submit(OWNER, spec("three", thread="t"))
    await engine.jobs.cancel(OWNER, skipped.id)
    first.say("1").finish()  # only now may the third begin
    call = await puppet.call()
    assert [message.content for message in call.job.history] == ["one", "1"]
    call.finish()


async def test_newest_completed_answer_of_retried_turn_is_in_history(engine: Engine, puppet: Puppet) -> None:
    async def turn(text: str, said: str) -> str:
        job, _ = await engine.jobs.submit(OWNER, spec(text, thread="t"))
        (await puppet.call()).say(said).finish()
        return (await ended(engine, job.id)).id

    await turn("one", "1")
    second = await turn("two", "2")
    again, _ = await engine.jobs.retry(OWNER, second)
    (await puppet.call()).say("half")
    await shown(engine, again.id, "half")
    await engine.jobs.cancel(OWNER, again.id)
    await engine.jobs.submit(OWNER, spec("three", thread="t"))
    call = await puppet.call()
    assert [message.content for message in call.job.history] == ["one", "1", "two", "2"]
    call.finish()


async def test_late_deletion_message_does_not_stop_new_job_of_same_id(
    engine: Engine, store: MemoryStore, puppet: Puppet
) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec(), "once-more")
    call = await puppet.call()
    # As it comes when the deletion, the submit and the claim were one commit.
    store._feed.publish([Change(kind="deleted", owner=OWNER, subject="once-more")])
    await shown_nothing_new(engine)
    call.say("Still here.").finish()
    assert (await ended(engine, job.id)).status == "completed"


async def shown_nothing_new(engine: Engine) -> None:
    """Wait until the news so far have been heard, and what they set off is done."""
    heard = asyncio.Event()
    deaf = engine.listen(lambda change: heard.set())
    marker, _ = await engine.jobs.submit(OWNER, spec(thread="behind"))
    await heard.wait()
    deaf()
    await engine.jobs.cancel(OWNER, marker.id)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_close_interrupts_running_job_and_keeps_its_text(puppet: Puppet) -> None:
    store = KeptStore(server="here")
    engine = Engine(store=store, providers=puppet, server="here")
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("So far")
    await shown(engine, job.id, "So far")
    await engine.close()
    assert call.closed.is_set()
    job = await store.job(OWNER, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("interrupted", "server_stopped")
    assert b"So far" in b"".join(await store.events(job, after=0, max_bytes=9999))


async def test_job_of_dead_server_ends_as_interrupted(engine: Engine, store: MemoryStore) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec(), "left-behind")
    # A job of a server that nobody can reach any more.
    dead, _ = await store.submit(
        msgspec_replace(job, id="of-the-dead", server="dead", status="new", seq=0), max_queued=9
    )
    await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0)
    end = await ended(engine, dead.id)
    assert end.error is not None
    assert (end.status, end.error.code) == ("interrupted", "server_died")
    assert not (await engine.jobs.get(OWNER, job.id)).ended


async def test_delete_of_running_job_closes_provider_connection(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("x")
    await shown(engine, job.id, "x")
    await engine.jobs.delete(OWNER, job.id)
    async with asyncio.timeout(60):
        await call.closed.wait()
    with pytest.raises(NotFoundError):
        await engine.jobs.get(OWNER, job.id)


async def test_job_of_another_owner_is_reported_like_missing_job(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    await puppet.call()
    for ask in (engine.jobs.get, engine.jobs.cancel, engine.jobs.delete, engine.jobs.answer):
        with pytest.raises(NotFoundError) as other:
            await ask("somebody else", job.id)
        with pytest.raises(NotFoundError) as missing:
            await ask(OWNER, job.id[:-1] + "!")
        assert other.value.message.replace(job.id, "") == missing.value.message.replace(job.id[:-1] + "!", "")


async def test_seen_marks_notice_as_read_only_at_end_of_log(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("x")
    await shown(engine, job.id, "x")
    half = str((await engine.jobs.get(OWNER, job.id)).cursor)
    call.finish()
    job = await ended(engine, job.id)
    await engine.inbox.seen(OWNER, "", job.id, half)
    assert [notice.read_at for notice in await engine.inbox.notices(OWNER, "")] == [None]
    await engine.inbox.seen(OWNER, "", job.id, str(job.cursor))
    assert [notice.read_at is None for notice in await engine.inbox.notices(OWNER, "")] == [False]


class KeptStore(MemoryStore):
    """A memory store that can still be read after it was closed."""

    async def close(self) -> None:
        self._feed.close()


def msgspec_replace(job: object, **changes: object) -> object:
    import msgspec

    return msgspec.structs.replace(job, **changes)
