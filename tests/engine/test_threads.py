"""Threads: messages that are sent and shown, and changes of a thread while its jobs run."""

from __future__ import annotations

import asyncio

import pytest
from engine.conftest import OWNER, Call, Puppet, ended, shown, spec
from store.model import MemoryStore

from jupyter_bgstream.core.errors import ConflictError, NotFoundError, ProviderError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.retention import DAY, Retention, RetentionWorker
from jupyter_bgstream.testing.clock import FakeClock


async def turn(engine: Engine, puppet: Puppet, prompt: str, answer: str, thread: str = "t") -> Job:
    """Ask and be answered."""
    job, _ = await engine.jobs.submit(OWNER, spec(prompt, thread=thread))
    (await puppet.call()).say(answer).finish()
    return await ended(engine, job.id)


async def asked(engine: Engine, puppet: Puppet, thread: str, prompt: str = "And?") -> list[str]:
    """What goes out with the next turn of a thread, which is answered."""
    job, _ = await engine.jobs.submit(OWNER, spec(prompt, thread=thread))
    call = await puppet.call()
    call.say("So.").finish()
    await ended(engine, job.id)
    return words(call)


def words(call: Call) -> list[str]:
    return [message.text for message in (*call.job.history, *call.job.spec.messages)]


async def told(engine: Engine, thread: str) -> list[tuple[str, str | None, str]]:
    """The messages of a thread: text, job and state."""
    return [(each.message.text, each.job, each.status) for each in await engine.threads.messages(OWNER, thread)]


async def test_messages_of_thread_match_history_of_next_job(engine: Engine, puppet: Puppet) -> None:
    one = await turn(engine, puppet, "one", "1")
    failed, _ = await engine.jobs.submit(OWNER, spec("two", thread="t"))
    (await puppet.call()).say("half").fail(ProviderError("No."))
    await ended(engine, failed.id)
    three = await turn(engine, puppet, "three", "3")
    shown = [("one", one.id, "completed"), ("1", one.id, "completed")]
    shown += [("three", three.id, "completed"), ("3", three.id, "completed")]
    assert await told(engine, "t") == shown
    assert await asked(engine, puppet, "t") == ["one", "1", "three", "3", "And?"]


async def test_messages_end_with_prompts_of_unfinished_jobs(engine: Engine, puppet: Puppet) -> None:
    first, _ = await engine.jobs.submit(OWNER, spec("one", thread="t"))
    second, _ = await engine.jobs.submit(OWNER, spec("two", thread="t"))
    call = (await puppet.call()).say("so f")
    await shown(engine, first.id, "so f")
    assert await told(engine, "t") == [("one", first.id, "running"), ("two", second.id, "queued")]
    call.finish()
    await ended(engine, first.id)
    assert (await told(engine, "t"))[:2] == [("one", first.id, "completed"), ("so f", first.id, "completed")]


async def test_retried_turn_is_shown_once(engine: Engine, puppet: Puppet) -> None:
    await turn(engine, puppet, "one", "1")
    two = await turn(engine, puppet, "two", "wrong")
    again, _ = await engine.jobs.retry(OWNER, two.id)
    call = await puppet.call()
    assert (await told(engine, "t"))[2:] == [("two", again.id, "running")]
    call.fail(ProviderError("No."))
    await ended(engine, again.id)
    assert (await told(engine, "t"))[2:] == [("two", two.id, "completed"), ("wrong", two.id, "completed")]
    newest, _ = await engine.jobs.retry(OWNER, again.id)
    (await puppet.call()).say("2").finish()
    await ended(engine, newest.id)
    assert (await told(engine, "t"))[2:] == [("two", newest.id, "completed"), ("2", newest.id, "completed")]
    assert await asked(engine, puppet, "t") == ["one", "1", "two", "2", "And?"]


async def test_message_of_deleted_job_stays_in_stored_history(engine: Engine, puppet: Puppet) -> None:
    one = await turn(engine, puppet, "one", "1")
    two = await turn(engine, puppet, "two", "2")
    await engine.jobs.delete(OWNER, one.id)
    expected = [("one", None, "completed"), ("1", None, "completed")]
    assert await told(engine, "t") == [*expected, ("two", two.id, "completed"), ("2", two.id, "completed")]


async def test_fork_continues_from_its_turn_independently(engine: Engine, puppet: Puppet) -> None:
    one = await turn(engine, puppet, "one", "1")
    two = await turn(engine, puppet, "two", "2")
    thread = await engine.threads.fork(OWNER, "t", "from two", after=None)
    assert (thread.name, thread.jobs, thread.title, thread.forked_from) == ("from two", 0, "two", "t")
    thread = await engine.threads.fork(OWNER, "t", "from one", after=one.id)
    assert (thread.title, thread.model) == ("one", "puppet/one")
    assert await told(engine, "from one") == [("one", one.id, "completed"), ("1", one.id, "completed")]
    assert await asked(engine, puppet, "from one") == ["one", "1", "And?"]
    assert await asked(engine, puppet, "from two") == ["one", "1", "two", "2", "And?"]
    assert await asked(engine, puppet, "t", "three") == ["one", "1", "two", "2", "three"]
    assert await asked(engine, puppet, "from one", "More?") == ["one", "1", "And?", "So.", "More?"]
    assert (await told(engine, "from two"))[2:4] == [("two", two.id, "completed"), ("2", two.id, "completed")]


async def test_fork_during_running_turn_starts_at_last_completed_turn(engine: Engine, puppet: Puppet) -> None:
    await turn(engine, puppet, "one", "1")
    running, _ = await engine.jobs.submit(OWNER, spec("two", thread="t"))
    await engine.jobs.submit(OWNER, spec("three", thread="t"))
    call = await puppet.call()
    with pytest.raises(ConflictError) as refused:
        await engine.threads.fork(OWNER, "t", "new", after=running.id)
    assert refused.value.code == "not_ended"
    await engine.threads.fork(OWNER, "t", "new", after=None)
    assert await asked(engine, puppet, "new") == ["one", "1", "And?"]
    call.say("2").finish()
    assert words(await puppet.call())[-3:] == ["two", "2", "three"]


async def test_fork_of_fork_can_start_in_first_thread(engine: Engine, puppet: Puppet) -> None:
    one = await turn(engine, puppet, "one", "1")
    two = await turn(engine, puppet, "two", "2")
    await engine.threads.fork(OWNER, "t", "u", after=None)
    await turn(engine, puppet, "three", "3", thread="u")
    await engine.threads.fork(OWNER, "u", "v", after=one.id)
    assert await asked(engine, puppet, "v") == ["one", "1", "And?"]
    later = await turn(engine, puppet, "four", "4")
    with pytest.raises(NotFoundError):
        await engine.threads.fork(OWNER, "u", "w", after=later.id)
    await engine.threads.fork(OWNER, "u", "w", after=two.id)
    assert len(await told(engine, "w")) == 4


async def test_fork_without_completed_turn_is_refused(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec("one", thread="t"))
    (await puppet.call()).fail(ProviderError("No."))
    await ended(engine, job.id)
    for after in (None, job.id):
        with pytest.raises(ConflictError, match="cannot be forked"):
            await engine.threads.fork(OWNER, "t", "new", after=after)
    with pytest.raises(NotFoundError):
        await engine.threads.fork(OWNER, "none", "new", after=None)
    with pytest.raises(NotFoundError):
        await engine.threads.messages(OWNER, "none")


async def test_fork_keeps_its_history_when_original_is_deleted(engine: Engine, puppet: Puppet) -> None:
    one = await turn(engine, puppet, "one", "1")
    await engine.threads.fork(OWNER, "t", "new", after=None)
    waiting, _ = await engine.jobs.submit(OWNER, spec("two", thread="new"))
    call = await puppet.call()
    await engine.threads.delete(OWNER, "t")
    assert words(call) == ["one", "1", "two"]
    call.say("2").finish()
    await ended(engine, waiting.id)
    assert await asked(engine, puppet, "new") == ["one", "1", "two", "2", "And?"]
    with pytest.raises(NotFoundError):
        await engine.jobs.get(OWNER, one.id)


async def test_fork_keeps_its_history_when_its_own_job_is_deleted(engine: Engine, puppet: Puppet) -> None:
    await turn(engine, puppet, "one", "1")
    await engine.threads.fork(OWNER, "t", "new", after=None)
    wrong = await turn(engine, puppet, "two", "wrong", thread="new")
    await engine.jobs.delete(OWNER, wrong.id)
    assert await asked(engine, puppet, "new") == ["one", "1", "And?"]


async def test_thread_is_renamed_while_its_jobs_run(engine: Engine, puppet: Puppet) -> None:
    first, _ = await engine.jobs.submit(OWNER, spec("one", thread="t"), "first-id")
    await engine.jobs.submit(OWNER, spec("two", thread="t"))
    call = await puppet.call()
    thread = await engine.threads.rename(OWNER, "t", "u")
    assert (thread.name, thread.jobs, thread.status) == ("u", 2, "running")
    assert (await engine.jobs.submit(OWNER, spec("one", thread="t"), "first-id"))[1] is False
    call.say("1").finish()
    second = await puppet.call()
    assert words(second) == ["one", "1", "two"]
    assert second.job.thread == "u"
    second.say("2").finish()
    await ended(engine, second.job.id)
    assert [notice.thread for notice in await engine.inbox.notices(OWNER, "")] == ["u", "u"]
    again, _ = await engine.jobs.retry(OWNER, first.id)
    assert again.thread == "u"
    with pytest.raises(NotFoundError):
        await engine.threads.get(OWNER, "t")


async def test_fork_renamed_at_start_of_first_job_keeps_its_history(
    engine: Engine, puppet: Puppet, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await turn(engine, puppet, "one", "1")
    await engine.threads.fork(OWNER, "t", "new", after=None)
    read = store.fork_of

    async def renamed_first(owner: str, name: str) -> object:
        monkeypatch.undo()
        await engine.threads.rename(OWNER, "new", "newer")
        return await read(owner, name)

    monkeypatch.setattr(store, "fork_of", renamed_first)
    assert await asked(engine, puppet, "new") == ["one", "1", "And?"]


async def test_thread_is_deleted_with_running_and_queued_jobs(engine: Engine, puppet: Puppet) -> None:
    await turn(engine, puppet, "one", "1")
    running, _ = await engine.jobs.submit(OWNER, spec("two", thread="t"))
    queued, _ = await engine.jobs.submit(OWNER, spec("three", thread="t"))
    call = (await puppet.call()).say("so f")
    await shown(engine, running.id, "so f")
    await engine.threads.delete(OWNER, "t")
    async with asyncio.timeout(60):
        await call.closed.wait()
    for job in (running, queued):
        with pytest.raises(NotFoundError):
            await engine.jobs.get(OWNER, job.id)
    assert await engine.jobs.counts(OWNER) == {}
    assert await asked(engine, puppet, "t") == ["And?"]  # a new one of that name
    assert len(puppet.calls) == 3
    with pytest.raises(NotFoundError):
        await engine.threads.delete("bob", "t")


async def test_retention_deletes_old_thread_and_keeps_its_active_fork(store: MemoryStore, puppet: Puppet) -> None:
    clock = FakeClock()
    engine = Engine(store=store, providers=puppet, server="here", clock=clock)
    await engine.open()
    housekeeping = RetentionWorker(store=store, clock=clock, owner=None, retention=Retention(retention_days=10))
    one = await turn(engine, puppet, "one", "1")
    for name in ("alive", "left"):
        await engine.threads.fork(OWNER, "t", name, after=None)
    await engine.inbox.read(OWNER, "", None)
    clock.advance(8 * DAY)
    await turn(engine, puppet, "two", "2", thread="alive")
    clock.advance(3 * DAY)
    pruning = asyncio.create_task(housekeeping.prune())
    while not pruning.done():
        await asyncio.sleep(0)
        clock.advance(1)
    with pytest.raises(NotFoundError):
        await engine.jobs.get(OWNER, one.id)
    threads, _ = await engine.threads.page(OWNER, limit=9, after=None)
    assert [thread.name for thread in threads] == ["alive"]
    assert await asked(engine, puppet, "alive") == ["one", "1", "two", "2", "And?"]
    await engine.close()


async def test_history_without_job_ids_is_shown(engine: Engine, puppet: Puppet) -> None:
    # As databases of before have it.
    job, _ = await engine.jobs.submit(OWNER, spec("two", thread="t"))
    call = await puppet.call()
    history = (Message(role="user", content="one"), Message(role="assistant", content="1"))
    await engine._store.set_history(call.job, history)
    call.say("2").finish()
    await ended(engine, job.id)
    expected = [("one", None, "completed"), ("1", None, "completed")]
    assert await told(engine, "t") == [*expected, ("two", job.id, "completed"), ("2", job.id, "completed")]


async def test_fork_skips_turn_that_is_deleted_meanwhile(
    engine: Engine, puppet: Puppet, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await turn(engine, puppet, "one", "1")
    second = await turn(engine, puppet, "two", "2")
    last_turn = store.last_turn

    async def and_then_deleted(owner: str, name: str) -> Job | None:
        found = await last_turn(owner, name)
        if found is not None and found.id == second.id:
            await store.delete(owner, second.id)
        return found

    monkeypatch.setattr(store, "last_turn", and_then_deleted)
    await engine.threads.fork(OWNER, "t", "new", after=None)
    assert [words for words, _, _ in await told(engine, "new")] == ["one", "1"]
