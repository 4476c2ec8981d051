"""Regression tests for bugs that a review found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

import msgspec
import pytest
from engine.conftest import OWNER, Puppet, ended, shown, spec
from store.model import MemoryStore

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.errors import BgStreamError, NotFoundError, ProviderError, UnavailableError
from jupyter_bgstream.core.events import Citation, Delta, ToolCall, Usage
from jupyter_bgstream.core.job import TITLE_LENGTH, Job
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.providers.port import ProviderEvent
from jupyter_bgstream.store.port_values import Append, Change, JobFilter
from jupyter_bgstream.testing.clock import FakeClock


async def tick(times: int = 20) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_close_ends_running_log_and_follower_of_queued_job_gets_unavailable(puppet: Puppet) -> None:
    engine = Engine(store=MemoryStore(server="here"), providers=puppet, server="here", limits=LimitsInfo(max_running=1))
    await engine.open()
    running, _ = await engine.jobs.submit(OWNER, spec())
    await puppet.call()
    queued, _ = await engine.jobs.submit(OWNER, spec())
    last: dict[str, str] = {}

    async def follow(job: Job) -> None:
        async for batch in engine.jobs.follow(job, after=0):
            last[job.id] = type(decode_events(batch.events)[-1]).__name__

    followers = [asyncio.create_task(follow(job)) for job in (running, queued)]
    await tick()
    await engine.close()
    await followers[0]
    assert last == {running.id: "Interrupted", queued.id: "Queued"}
    with pytest.raises(UnavailableError):
        await followers[1]


async def test_text_and_cursor_of_answer_are_consistent(
    engine: Engine, store: MemoryStore, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("one ")
    await shown(engine, job.id, "one ")
    real = store.events

    async def while_it_is_read(job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        call.say("more ")
        await tick()
        return await real(job, after=after, max_bytes=max_bytes)

    monkeypatch.setattr(store, "events", while_it_is_read)
    job, answer = await engine.jobs.answer(OWNER, job.id)
    assert (job.seq, job.status) == (answer.seq, answer.status)
    assert answer.text == "one "


async def test_failed_append_leaves_no_gap(
    engine: Engine, store: MemoryStore, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = store.append, 0

    async def second_breaks(appends: Sequence[Append]) -> list[int | BgStreamError]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ValueError("a bug in the store")
        return await real(appends)

    monkeypatch.setattr(store, "append", second_breaks)
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("one ")
    await shown(engine, job.id, "one ")
    call.say("two ")
    await tick()
    call.say("three ").finish()
    job = await ended(engine, job.id)
    assert (job.status, (await engine.jobs.answer(OWNER, job.id))[1].text) == ("failed", "one ")


async def test_failing_claim_does_not_stop_later_claims(puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = MemoryStore(server="here"), FakeClock()
    engine = Engine(store=store, providers=puppet, server="here", clock=clock)
    await engine.open()
    await clock.sleeping()  # the look for dead servers
    with monkeypatch.context() as broken:
        broken.setattr(store, "claim", lambda **_: 1 / 0)
        job, _ = await engine.jobs.submit(OWNER, spec())
        await clock.sleeping(2)
    clock.advance(2)
    (await puppet.call()).say("x").finish()
    assert (await ended(engine, job.id)).status == "completed"
    await engine.close()


async def test_close_succeeds_although_store_cannot_be_written(puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(server="here")
    engine = Engine(store=store, providers=puppet, server="here")
    await engine.open()
    await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()

    async def full(*_: object, **__: object) -> None:
        raise UnavailableError("The disk is full.")

    monkeypatch.setattr(store, "end", full)
    async with asyncio.timeout(60):
        await engine.close()
    assert call.closed.is_set()


async def test_claim_in_progress_at_close_leaves_no_running_job(
    puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(server="here")
    engine = Engine(store=store, providers=puppet, server="here")
    await engine.open()
    real, gate, seen = store.claim, asyncio.Event(), asyncio.Event()
    statuses: dict[str, str] = {}

    async def slow(**arguments: object) -> list[Job]:
        jobs: list[Job] = await real(**arguments)  # type: ignore[arg-type]
        seen.set()
        await gate.wait()  # committed, and not yet told
        return jobs

    monkeypatch.setattr(store, "claim", slow)
    real_close = store.close

    async def look_then_close() -> None:
        jobs, _ = await engine.jobs.page(OWNER, JobFilter())
        statuses.update({job.id: job.status for job in jobs})
        await real_close()

    monkeypatch.setattr(store, "close", look_then_close)
    job, _ = await engine.jobs.submit(OWNER, spec())
    await seen.wait()
    closing = asyncio.create_task(engine.close())
    await tick()
    gate.set()
    await closing
    assert statuses == {job.id: "interrupted"}


async def test_failed_read_of_gap_is_repeated(puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = Foreign(server="here"), FakeClock()
    engine = Engine(store=store, providers=puppet, server="here", clock=clock)
    await engine.open()
    await clock.sleeping()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()
    now = await engine.jobs.get(OWNER, job.id)
    follower = asyncio.create_task(anext(engine.jobs.follow(now, after=now.seq)))
    await tick()

    async def no_answer(*_: object, **__: object) -> list[bytes]:
        raise UnavailableError("The disk does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(store, "events", no_answer)
        call.say("one ")
        await clock.sleeping(2)
    clock.advance(1)
    async with asyncio.timeout(60):
        batch = await follower
    assert [event.seq for event in decode_events(batch.events)] == [now.seq + 1]
    await engine.close()


class Foreign(MemoryStore):
    """A store whose changes all look like another server's: they carry no events."""

    async def _without_events(self) -> AsyncIterator[Sequence[Change]]:
        async for changes in super().changes():
            yield [msgspec.structs.replace(change, events=()) for change in changes]

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._without_events()


async def test_followers_of_deleted_job_do_not_get_new_job_of_same_id(engine: Engine, puppet: Puppet) -> None:
    first, _ = await engine.jobs.submit(OWNER, spec(), "the-same-id")
    (await puppet.call()).say("old")
    await shown(engine, first.id, "old")
    async with aclosing(engine.jobs.follow(first, after=0)) as stuck:  # a page that does not read on
        await anext(stuck)
        await engine.jobs.delete(OWNER, first.id)
        again, _ = await engine.jobs.submit(OWNER, spec(), "the-same-id")
        (await puppet.call()).say("new").finish()
        await ended(engine, again.id)
        assert (await engine.jobs.answer(OWNER, again.id))[1].text == "new"
        with pytest.raises(NotFoundError):
            await anext(stuck)


async def test_recovery_never_ends_new_job_of_same_id(puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = MemoryStore(server="here"), FakeClock()
    engine = Engine(store=store, providers=puppet, server="here", clock=clock)
    await engine.open()
    await clock.sleeping()
    living, _ = await engine.jobs.submit(OWNER, spec(), "the-same-id")
    await puppet.call()
    dead = msgspec.structs.replace(living, log="deadbeef", server="dead")

    async def abandoned(*, owner: str | None, limit: int) -> list[Job]:
        return [dead]  # read just before it was deleted and submitted again

    monkeypatch.setattr(store, "abandoned_jobs", abandoned)
    clock.advance(2)
    await clock.sleeping()
    assert (await engine.jobs.get(OWNER, living.id)).status == "running"
    await engine.close()


async def test_deleting_one_turn_removes_only_that_turn_from_history(engine: Engine, puppet: Puppet) -> None:
    for prompt, said in (("a", "A"), ("b", "B")):
        job, _ = await engine.jobs.submit(OWNER, spec(prompt, thread="t"))
        (await puppet.call()).say(said).finish()
        await ended(engine, job.id)
    blockers = [(await engine.jobs.submit(OWNER, spec()))[0] for _ in range(2)]
    calls = [await puppet.call() for _ in blockers]
    await engine.jobs.submit(OWNER, spec("c", thread="t"))  # queued behind the blockers
    await engine.jobs.delete(OWNER, job.id)
    calls[0].finish()
    call = await puppet.call()
    assert [message.content for message in call.job.history] == ["a", "A"]
    calls[1].finish()
    call.finish()


async def test_huge_prompt_has_title_from_its_beginning(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec("word " * 1_000_000))
    assert job.spec.title.startswith("word word")
    assert len(job.spec.title) <= TITLE_LENGTH
    await puppet.call()


PIECES: dict[str, Callable[[int], ProviderEvent]] = {
    "text": lambda _: Delta(channel="text", text="a"),
    "empty text": lambda _: Delta(channel="text", text=""),
    "reasoning": lambda _: Delta(channel="reasoning", text="a"),
    "citations": lambda number: Citation(url=f"https://x.example/{number}", title="A page"),
    "tool calls": lambda number: ToolCall(id=str(number), name="look", arguments="{}"),
    "usage": lambda number: Usage(input_tokens=number),
}


@pytest.mark.parametrize("of_what", PIECES)
async def test_answer_of_many_small_events_fails_as_too_long(puppet: Puppet, of_what: str) -> None:
    limits = LimitsInfo(max_answer_bytes=10_000)
    engine = Engine(store=MemoryStore(server="here"), providers=puppet, server="here", limits=limits)
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()
    call.say("First. ")
    for number in range(1000):
        call.say_all(PIECES[of_what](number))
    answer = (await ended(engine, job.id)).error
    assert answer is not None
    assert answer.code == "answer_too_long"
    assert call.unread > 300
    store_job = await engine.jobs.get(OWNER, job.id)
    assert store_job.preview.startswith("First.")
    await engine.close()


UNSTORABLE: dict[str, BaseException] = {
    "lone surrogate": ProviderError("The answer \ud800"),
    "integer code": ProviderError("It broke.", code=5),  # type: ignore[arg-type]
    "no message": ProviderError(None),  # type: ignore[arg-type]
    "unrequested cancellation": asyncio.CancelledError(),
}


@pytest.mark.parametrize("of_what", UNSTORABLE)
async def test_unstorable_error_still_ends_job(puppet: Puppet, of_what: str) -> None:
    engine = Engine(store=MemoryStore(server="here"), providers=puppet, server="here")
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("Half.").fail(UNSTORABLE[of_what])
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "internal")
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "Half."
    await engine.close()


async def test_unstorable_retry_delay_still_ends_job(puppet: Puppet) -> None:
    engine = Engine(store=MemoryStore(server="here"), providers=puppet, server="here")
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).fail(ProviderError("Later.", transient=True, retry_after=float("nan")))
    job = await ended(engine, job.id)
    assert job.error is not None
    assert job.error.code == "internal"
    await engine.close()
