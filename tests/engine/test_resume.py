"""Responses that providers keep: resumed after deaths and stops, cancelled on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from engine.conftest import LIMITS, OWNER, Call, Puppet, ended, reached, shown, spec
from store.factories import ROOM, append, new_job, text_deltas
from store.model import MemoryStore

from jupyter_bgstream.core.batches import BatchSpec
from jupyter_bgstream.core.errors import BgStreamError, ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, Event, ToolCall, Usage, Waiting
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.store.port_values import Append
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock

DIED = Waiting(at=1.0, until=1.0, code="server_died", message="It died.")
GONE = ProviderError("It has forgotten the answer.", code="answer_gone")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store() -> MemoryStore:
    return Appends(server="here")


@pytest.fixture
async def engine(store: MemoryStore, puppet: Puppet, clock: FakeClock) -> AsyncIterator[Engine]:
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS, clock=clock)
    await engine.open()
    await clock.sleeping()
    yield engine
    await engine.close()


class Appends(MemoryStore):
    """Remembers what was appended together."""

    def __init__(self, **fields: str) -> None:
        super().__init__(**fields)
        self.appends: list[tuple[str, str | None]] = []

    async def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        for each in appends:
            text = "".join(event.text for event in each.events if isinstance(event, Delta))
            self.appends.append((text, each.resume))
        return await super().append(appends)


async def left_behind(store: MemoryStore, job_id: str = "job-0001", **fields: object) -> Job:
    """A job of a server that died, whose provider goes on with it."""
    asked = new_job(job_id, owner=OWNER, server="dead", **{"model": "puppet/one", **fields})
    await store.submit(asked, max_queued=99)
    job = next(
        job for job in await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0) if job.id == job_id
    )
    await append(store, job, text_deltas("Half "), resume="after half", preview="Half ")
    return await store.job(OWNER, job_id)


async def kept(engine: Engine, puppet: Puppet, text: str = "Half ", **fields: object) -> tuple[Job, Call]:
    """A job of ours whose provider would go on with it."""
    job, _ = await engine.jobs.submit(OWNER, spec(**fields))
    call = (await puppet.call()).keep("after half", text)
    await shown(engine, job.id, text)
    return await engine.jobs.get(OWNER, job.id), call


async def cancelled_responses(puppet: Puppet, number: int = 1) -> list[str | None]:
    async with asyncio.timeout(60):
        while len(puppet.cancelled_responses) < number:  # noqa: ASYNC110 - it is only some turns of the loop
            await asyncio.sleep(0)
    return [job.resume for job in puppet.cancelled_responses]


async def test_resume_token_is_stored_with_text_that_it_covers(engine: Engine, store: Appends, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).keep("at the beginning")
    call.keep("after one", "one ").keep("after two", "two ")
    await shown(engine, job.id, "one two ")
    call.say("not covered")
    await shown(engine, job.id, "one two not covered")
    assert (await engine.jobs.get(OWNER, job.id)).resume is None
    call.keep("after three", " three")
    await shown(engine, job.id, "one two not covered three")
    assert (await engine.jobs.get(OWNER, job.id)).resume == "after three"
    call._said.put_nowait([Usage(input_tokens=1), Completed(at=0.0, finish_reason="stop")])
    await ended(engine, job.id)
    written = "".join(text for text, _ in store.appends)
    assert written == "one two not covered three"
    known = {"at the beginning": "", "after one": "one ", "after two": "one two ", "": "one two not covered"}
    before = ""
    for text, resume in store.appends:
        before += text
        assert resume is None or known.get(resume, written) == before
    assert store.appends[-1] == ("", None)  # usage makes nothing worthless


@pytest.mark.parametrize("on_restart", ["interrupt", "retry"])
async def test_answer_of_dead_server_resumes_in_same_attempt(
    engine: Engine, store: Appends, puppet: Puppet, clock: FakeClock, on_restart: str
) -> None:
    job = await left_behind(store, on_restart=on_restart)
    clock.advance(2)
    call = await puppet.call()
    assert call.job.resume == "after half"
    call.keep("after all", "and whole.").finish()
    done = await ended(engine, job.id)
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (done.status, done.log, done.attempt, done.preview) == ("completed", job.log, 1, "Half and whole.")
    assert (answer.text, answer.earlier) == ("Half and whole.", ())
    assert puppet.cancelled_responses == []


async def test_answer_resumes_after_any_number_of_server_deaths(
    engine: Engine, store: Appends, puppet: Puppet, clock: FakeClock
) -> None:
    job = await left_behind(store)
    for _ in range(LIMITS.max_attempts + 2):
        await store.adopt(job, server="dead", event=DIED)
        (job,) = await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0)
    clock.advance(2)
    (await puppet.call()).keep("after all", "and whole.").finish()
    assert (await ended(engine, job.id)).attempt == 1


async def test_fenced_server_does_not_cancel_response_at_provider(
    engine: Engine, store: Appends, puppet: Puppet
) -> None:
    job, call = await kept(engine, puppet)
    await store.adopt(job, server="there", event=DIED)
    while not call.closed.is_set():  # the refusal of one append is heard at the next
        call.keep("too late", "too late")
        await asyncio.sleep(0)
    await engine.close()
    assert puppet.cancelled_responses == []


async def test_unusable_provider_interrupts_or_waits_as_on_restart_demands(
    engine: Engine, store: Appends, puppet: Puppet, clock: FakeClock
) -> None:
    puppet.fault = ErrorInfo(code="missing_key", message="There is no key here.")
    over = await left_behind(store, "job-0001")
    waits = await left_behind(store, "job-0002", on_restart="retry")
    clock.advance(2)
    assert (await ended(engine, over.id)).error.code == "server_died"
    waiting = await reached(engine, waits.id, "waiting")
    assert (waiting.error.code, waiting.resume) == ("no_provider", "after half")
    puppet.fault = None
    await clock.sleeping()
    clock.advance(2)
    call = await puppet.call()
    assert call.job.resume == "after half"
    call.finish()
    assert (await ended(engine, waits.id)).attempt == 1


async def test_lost_response_ends_job_as_interrupted(
    engine: Engine, store: Appends, puppet: Puppet, clock: FakeClock
) -> None:
    job = await left_behind(store)
    clock.advance(2)
    (await puppet.call()).fail(GONE)
    done = await ended(engine, job.id)
    assert (done.status, done.error) == ("interrupted", ErrorInfo(code="answer_gone", message=GONE.message))
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "Half "
    assert [notice.status for notice in await engine.inbox.notices(OWNER, "")] == ["interrupted"]
    assert len(puppet.calls) == 1
    assert puppet.cancelled_responses == []


async def test_lost_response_is_requested_again_with_on_restart_retry(
    engine: Engine, store: Appends, puppet: Puppet, clock: FakeClock
) -> None:
    job = await left_behind(store, on_restart="retry")
    clock.advance(2)
    (await puppet.call()).fail(GONE)
    call = await puppet.call()
    assert call.job.resume is None
    call.say("Whole.").finish()
    done = await ended(engine, job.id)
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (done.status, done.attempt) == ("completed", 2)
    assert (answer.text, [part.text for part in answer.earlier]) == ("Whole.", ["Half "])


async def test_new_attempt_after_error_starts_again_and_cancels_old_response(
    engine: Engine, puppet: Puppet, clock: FakeClock
) -> None:
    job, call = await kept(engine, puppet, retry_policy="always")
    call.fail(ProviderError("It broke off.", code="truncated"))
    waiting = await reached(engine, job.id, "waiting")
    assert waiting.resume is None
    assert await cancelled_responses(puppet) == ["after half"]
    await clock.sleeping(2)
    clock.advance(60)
    call = await puppet.call()
    assert call.job.resume is None
    call.say("Whole.").finish()
    assert (await ended(engine, job.id)).attempt == 2


async def test_stopped_server_leaves_response_to_next_server(puppet: Puppet, database: Path) -> None:
    first = Engine(store=SQLiteStore(database, server="one"), providers=puppet, server="one", limits=LIMITS)
    await first.open()
    job, _ = await kept(first, puppet)
    await first.close()
    assert puppet.cancelled_responses == []
    second = Engine(store=SQLiteStore(database, server="two"), providers=puppet, server="two", limits=LIMITS)
    await second.open()
    call = await puppet.call()
    assert call.job.resume == "after half"
    call.keep("after all", "and whole.").finish()
    done = await ended(second, job.id)
    _, answer = await second.jobs.answer(OWNER, job.id)
    assert (done.attempt, answer.text, answer.status) == (1, "Half and whole.", "completed")
    await second.close()


async def test_cancel_reaches_provider_once(engine: Engine, puppet: Puppet) -> None:
    job, call = await kept(engine, puppet)
    await engine.jobs.cancel(OWNER, job.id)
    await call.closed.wait()
    assert await cancelled_responses(puppet) == ["after half"]
    await engine.jobs.cancel(OWNER, job.id)
    other, _ = await engine.jobs.submit(OWNER, spec("other"))  # whose provider keeps nothing
    await puppet.call()
    await engine.jobs.cancel(OWNER, other.id)
    await engine.close()
    assert len(puppet.cancelled_responses) == 1


async def test_cancel_does_not_wait_for_provider_and_close_waits_briefly(
    engine: Engine, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()

    async def hangs(job: Job) -> None:
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(puppet, "cancel_response", hangs)
    monkeypatch.setattr(engine, "_stop_patience", 0.01)
    job, _ = await kept(engine, puppet)
    async with asyncio.timeout(60):
        assert (await engine.jobs.cancel(OWNER, job.id)).status == "cancelled"
        await hanging.wait()
        await engine.close()


async def test_cancel_of_unadopted_job_cancels_response_at_provider(
    engine: Engine, store: Appends, puppet: Puppet
) -> None:
    job = await left_behind(store)
    await engine.jobs.cancel(OWNER, job.id)
    assert await cancelled_responses(puppet) == ["after half"]


async def test_server_that_runs_job_cancels_response_after_cancel_by_other_server(
    puppet: Puppet, database: Path
) -> None:
    owner = Engine(store=SQLiteStore(database, server="one"), providers=puppet, server="one", limits=LIMITS)
    stranger = Puppet()
    stranger.names = {"another"}
    other = Engine(store=SQLiteStore(database, server="two"), providers=stranger, server="two", limits=LIMITS)
    await owner.open()
    await other.open()
    job, call = await kept(owner, puppet)
    await other.jobs.cancel(OWNER, job.id)
    async with asyncio.timeout(60):
        await call.closed.wait()
    await owner.close()
    await other.close()
    assert ([job.resume for job in puppet.cancelled_responses], stranger.cancelled_responses) == (["after half"], [])


async def test_cancelled_batch_is_cancelled_at_provider(engine: Engine, puppet: Puppet) -> None:
    batch = BatchSpec(id="batch-0001", total=2)
    await engine.batches.submit(OWNER, batch, [(f"job-000{n}", spec(f"{n}")) for n in range(2)])
    for n in range(2):
        (await puppet.call()).keep(f"of {n}", "x")
        await shown(engine, f"job-000{n}", "x")
    await engine.batches.cancel(OWNER, batch.id)
    assert sorted(await cancelled_responses(puppet, 2)) == ["of 0", "of 1"]


async def test_too_long_answer_is_cancelled_at_provider(puppet: Puppet) -> None:
    limits = msgspec.structs.replace(LIMITS, max_answer_bytes=30)
    engine = Engine(store=MemoryStore(server="here"), providers=puppet, server="here", limits=limits)
    await engine.open()
    job, call = await kept(engine, puppet)
    call.keep("after more", "more than that")
    assert (await ended(engine, job.id)).error.code == "answer_too_long"
    assert await cancelled_responses(puppet) == ["after more"]
    await engine.close()


async def test_answer_length_counts_over_all_servers(puppet: Puppet) -> None:
    store, clock = MemoryStore(server="here"), FakeClock()
    limits = msgspec.structs.replace(LIMITS, max_answer_bytes=10)
    engine = Engine(store=store, providers=puppet, server="here", limits=limits, clock=clock)
    await engine.open()
    await clock.sleeping()
    job = await left_behind(store)
    clock.advance(2)
    (await puppet.call()).keep("after more", "more, ")
    assert (await ended(engine, job.id)).error.code == "answer_too_long"
    await engine.close()


async def test_resume_token_is_not_stored_as_event(engine: Engine, store: Appends, puppet: Puppet) -> None:
    job, call = await kept(engine, puppet)
    call.finish()
    await ended(engine, job.id)
    assert ("Half ", "after half") in store.appends
    log = await store.events(job, after=0, max_bytes=1 << 20)
    assert [msgspec.json.decode(event)["type"] for event in log] == ["queued", "attempt", "delta", "completed"]
    assert b"after half" not in b"".join(log)
    assert b"resume" not in b"".join(log)


@pytest.mark.parametrize(
    "found", [Citation(url="https://a.example"), ToolCall(id="a", name="look", arguments="{}")], ids=["source", "call"]
)
async def test_answer_with_events_but_without_text_is_not_retried(
    engine: Engine, store: Appends, puppet: Puppet, clock: FakeClock, found: Event
) -> None:
    await store.submit(new_job("job-0001", owner=OWNER, server="dead", model="puppet/one"), max_queued=99)
    (job,) = await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0)
    await append(store, job, [found], resume="after that")
    clock.advance(2)
    (await puppet.call()).fail(ProviderError("It is overloaded.", code="provider_error", transient=True))
    assert (await ended(engine, job.id)).error.code == "provider_error"
    assert len(puppet.calls) == 1
