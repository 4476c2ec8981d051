"""Conversations: what is sent, what is shown, and what becomes of a thread while its jobs run."""

from __future__ import annotations

import asyncio

import pytest
from engine.conftest import OWNER, Call, Puppet, ended, shown, spec

from jupyter_bgstream.core.errors import ConflictError, NotFoundError, ProviderError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.engine.retention import DAY, Retention, RetentionWorker
from jupyter_bgstream.engine.service import Service
from jupyter_bgstream.testing.clock import FakeClock
from jupyter_bgstream.testing.memory_store import MemoryStore


async def turn(service: Service, puppet: Puppet, prompt: str, answer: str, thread: str = "t") -> Job:
    """Ask and be answered."""
    job, _ = await service.jobs.submit(OWNER, spec(prompt, thread=thread))
    (await puppet.call()).say(answer).finish()
    return await ended(service, job.id)


async def asked(service: Service, puppet: Puppet, thread: str, prompt: str = "And?") -> list[str]:
    """What goes out with the next turn of a thread, which is answered."""
    job, _ = await service.jobs.submit(OWNER, spec(prompt, thread=thread))
    call = await puppet.call()
    call.say("So.").finish()
    await ended(service, job.id)
    return words(call)


def words(call: Call) -> list[str]:
    return [message.text for message in (*call.job.history, *call.job.spec.messages)]


async def told(service: Service, thread: str) -> list[tuple[str, str | None, str]]:
    """The messages of a thread: text, job and state."""
    return [(each.message.text, each.job, each.status) for each in await service.threads.messages(OWNER, thread)]


async def test_messages_are_what_the_next_job_sends(service: Service, puppet: Puppet) -> None:
    one = await turn(service, puppet, "one", "1")
    failed, _ = await service.jobs.submit(OWNER, spec("two", thread="t"))
    (await puppet.call()).say("half").fail(ProviderError("No."))
    await ended(service, failed.id)
    three = await turn(service, puppet, "three", "3")
    shown = [("one", one.id, "completed"), ("1", one.id, "completed")]
    shown += [("three", three.id, "completed"), ("3", three.id, "completed")]
    assert await told(service, "t") == shown
    assert await asked(service, puppet, "t") == ["one", "1", "three", "3", "And?"]


async def test_messages_end_with_what_has_not_ended(service: Service, puppet: Puppet) -> None:
    first, _ = await service.jobs.submit(OWNER, spec("one", thread="t"))
    second, _ = await service.jobs.submit(OWNER, spec("two", thread="t"))
    call = (await puppet.call()).say("so f")
    await shown(service, first.id, "so f")
    assert await told(service, "t") == [("one", first.id, "running"), ("two", second.id, "queued")]
    call.finish()
    await ended(service, first.id)
    assert (await told(service, "t"))[:2] == [("one", first.id, "completed"), ("so f", first.id, "completed")]


async def test_a_turn_that_is_asked_again_is_shown_once(service: Service, puppet: Puppet) -> None:
    await turn(service, puppet, "one", "1")
    two = await turn(service, puppet, "two", "wrong")
    again, _ = await service.jobs.retry(OWNER, two.id)
    call = await puppet.call()
    assert (await told(service, "t"))[2:] == [("two", again.id, "running")]
    call.fail(ProviderError("No."))
    await ended(service, again.id)
    assert (await told(service, "t"))[2:] == [("two", two.id, "completed"), ("wrong", two.id, "completed")]
    newest, _ = await service.jobs.retry(OWNER, again.id)
    (await puppet.call()).say("2").finish()
    await ended(service, newest.id)
    assert (await told(service, "t"))[2:] == [("two", newest.id, "completed"), ("2", newest.id, "completed")]
    assert await asked(service, puppet, "t") == ["one", "1", "two", "2", "And?"]


async def test_a_message_whose_job_is_deleted_stays_in_what_was_frozen(service: Service, puppet: Puppet) -> None:
    one = await turn(service, puppet, "one", "1")
    two = await turn(service, puppet, "two", "2")
    await service.jobs.delete(OWNER, one.id)
    expected = [("one", None, "completed"), ("1", None, "completed")]
    assert await told(service, "t") == [*expected, ("two", two.id, "completed"), ("2", two.id, "completed")]


async def test_a_fork_goes_on_from_where_the_other_was(service: Service, puppet: Puppet) -> None:
    one = await turn(service, puppet, "one", "1")
    two = await turn(service, puppet, "two", "2")
    thread = await service.threads.fork(OWNER, "t", "from two", after=None)
    assert (thread.name, thread.jobs, thread.title, thread.forked_from) == ("from two", 0, "two", "t")
    thread = await service.threads.fork(OWNER, "t", "from one", after=one.id)
    assert (thread.title, thread.model) == ("one", "puppet/one")
    assert await told(service, "from one") == [("one", one.id, "completed"), ("1", one.id, "completed")]
    assert await asked(service, puppet, "from one") == ["one", "1", "And?"]
    assert await asked(service, puppet, "from two") == ["one", "1", "two", "2", "And?"]
    assert await asked(service, puppet, "t", "three") == ["one", "1", "two", "2", "three"]
    assert await asked(service, puppet, "from one", "More?") == ["one", "1", "And?", "So.", "More?"]
    assert (await told(service, "from two"))[2:4] == [("two", two.id, "completed"), ("2", two.id, "completed")]


async def test_a_fork_begins_at_what_is_whole_while_others_run(service: Service, puppet: Puppet) -> None:
    await turn(service, puppet, "one", "1")
    running, _ = await service.jobs.submit(OWNER, spec("two", thread="t"))
    await service.jobs.submit(OWNER, spec("three", thread="t"))
    call = await puppet.call()
    with pytest.raises(ConflictError) as refused:
        await service.threads.fork(OWNER, "t", "new", after=running.id)
    assert refused.value.code == "not_ended"
    await service.threads.fork(OWNER, "t", "new", after=None)
    assert await asked(service, puppet, "new") == ["one", "1", "And?"]
    call.say("2").finish()
    assert words(await puppet.call())[-3:] == ["two", "2", "three"]


async def test_a_fork_of_a_fork_can_begin_in_the_first(service: Service, puppet: Puppet) -> None:
    one = await turn(service, puppet, "one", "1")
    two = await turn(service, puppet, "two", "2")
    await service.threads.fork(OWNER, "t", "u", after=None)
    await turn(service, puppet, "three", "3", thread="u")
    await service.threads.fork(OWNER, "u", "v", after=one.id)
    assert await asked(service, puppet, "v") == ["one", "1", "And?"]
    later = await turn(service, puppet, "four", "4")
    with pytest.raises(NotFoundError):
        await service.threads.fork(OWNER, "u", "w", after=later.id)
    await service.threads.fork(OWNER, "u", "w", after=two.id)
    assert len(await told(service, "w")) == 4


async def test_a_fork_needs_something_that_was_said(service: Service, puppet: Puppet) -> None:
    job, _ = await service.jobs.submit(OWNER, spec("one", thread="t"))
    (await puppet.call()).fail(ProviderError("No."))
    await ended(service, job.id)
    for after in (None, job.id):
        with pytest.raises(ConflictError, match="cannot be forked"):
            await service.threads.fork(OWNER, "t", "new", after=after)
    with pytest.raises(NotFoundError):
        await service.threads.fork(OWNER, "none", "new", after=None)
    with pytest.raises(NotFoundError):
        await service.threads.messages(OWNER, "none")


async def test_a_fork_keeps_its_history_when_the_other_is_deleted(service: Service, puppet: Puppet) -> None:
    one = await turn(service, puppet, "one", "1")
    await service.threads.fork(OWNER, "t", "new", after=None)
    waiting, _ = await service.jobs.submit(OWNER, spec("two", thread="new"))
    call = await puppet.call()
    await service.threads.delete(OWNER, "t")
    assert words(call) == ["one", "1", "two"]
    call.say("2").finish()
    await ended(service, waiting.id)
    assert await asked(service, puppet, "new") == ["one", "1", "two", "2", "And?"]
    with pytest.raises(NotFoundError):
        await service.jobs.get(OWNER, one.id)


async def test_a_fork_is_no_less_a_fork_when_its_jobs_are_deleted(service: Service, puppet: Puppet) -> None:
    await turn(service, puppet, "one", "1")
    await service.threads.fork(OWNER, "t", "new", after=None)
    wrong = await turn(service, puppet, "two", "wrong", thread="new")
    await service.jobs.delete(OWNER, wrong.id)
    assert await asked(service, puppet, "new") == ["one", "1", "And?"]


async def test_a_thread_is_renamed_while_its_jobs_run(service: Service, puppet: Puppet) -> None:
    first, _ = await service.jobs.submit(OWNER, spec("one", thread="t"), "first-id")
    await service.jobs.submit(OWNER, spec("two", thread="t"))
    call = await puppet.call()
    thread = await service.threads.rename(OWNER, "t", "u")
    assert (thread.name, thread.jobs, thread.status) == ("u", 2, "running")
    assert (await service.jobs.submit(OWNER, spec("one", thread="t"), "first-id"))[1] is False
    call.say("1").finish()
    second = await puppet.call()
    assert words(second) == ["one", "1", "two"]
    assert second.job.thread == "u"
    second.say("2").finish()
    await ended(service, second.job.id)
    assert [notice.thread for notice in await service.inbox.notices(OWNER, "")] == ["u", "u"]
    again, _ = await service.jobs.retry(OWNER, first.id)
    assert again.thread == "u"
    with pytest.raises(NotFoundError):
        await service.threads.get(OWNER, "t")


async def test_a_fork_that_is_renamed_as_its_first_job_begins_keeps_its_history(
    service: Service, puppet: Puppet, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await turn(service, puppet, "one", "1")
    await service.threads.fork(OWNER, "t", "new", after=None)
    read = store.fork_of

    async def renamed_first(owner: str, name: str) -> object:
        monkeypatch.undo()
        await service.threads.rename(OWNER, "new", "newer")
        return await read(owner, name)

    monkeypatch.setattr(store, "fork_of", renamed_first)
    assert await asked(service, puppet, "new") == ["one", "1", "And?"]


async def test_a_thread_is_deleted_with_what_runs_and_what_waits(service: Service, puppet: Puppet) -> None:
    await turn(service, puppet, "one", "1")
    running, _ = await service.jobs.submit(OWNER, spec("two", thread="t"))
    queued, _ = await service.jobs.submit(OWNER, spec("three", thread="t"))
    call = (await puppet.call()).say("so f")
    await shown(service, running.id, "so f")
    await service.threads.delete(OWNER, "t")
    async with asyncio.timeout(60):
        await call.closed.wait()
    for job in (running, queued):
        with pytest.raises(NotFoundError):
            await service.jobs.get(OWNER, job.id)
    assert await service.jobs.counts(OWNER) == {}
    assert await asked(service, puppet, "t") == ["And?"]  # a new one of that name
    assert len(puppet.calls) == 3
    with pytest.raises(NotFoundError):
        await service.threads.delete("bob", "t")


async def test_retention_takes_an_old_thread_and_leaves_its_fork(store: MemoryStore, puppet: Puppet) -> None:
    clock = FakeClock()
    service = Service(store=store, providers=puppet, server="here", clock=clock)
    await service.open()
    housekeeping = RetentionWorker(store=store, clock=clock, owner=None, retention=Retention(retention_days=10))
    one = await turn(service, puppet, "one", "1")
    for name in ("alive", "left"):
        await service.threads.fork(OWNER, "t", name, after=None)
    await service.inbox.read(OWNER, "", None)
    clock.advance(8 * DAY)
    await turn(service, puppet, "two", "2", thread="alive")
    clock.advance(3 * DAY)
    pruning = asyncio.create_task(housekeeping.prune())
    while not pruning.done():
        await asyncio.sleep(0)
        clock.advance(1)
    with pytest.raises(NotFoundError):
        await service.jobs.get(OWNER, one.id)
    threads, _ = await service.threads.page(OWNER, limit=9, after=None)
    assert [thread.name for thread in threads] == ["alive"]
    assert await asked(service, puppet, "alive") == ["one", "1", "two", "2", "And?"]
    await service.close()


async def test_a_history_of_which_nobody_knows_whose_it_is_is_shown(service: Service, puppet: Puppet) -> None:
    # As databases of before have it.
    job, _ = await service.jobs.submit(OWNER, spec("two", thread="t"))
    call = await puppet.call()
    history = (Message(role="user", content="one"), Message(role="assistant", content="1"))
    await service._store.set_history(call.job, history)
    call.say("2").finish()
    await ended(service, job.id)
    expected = [("one", None, "completed"), ("1", None, "completed")]
    assert await told(service, "t") == [*expected, ("two", job.id, "completed"), ("2", job.id, "completed")]


async def test_a_fork_does_not_stumble_over_a_turn_that_is_deleted_meanwhile(
    service: Service, puppet: Puppet, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await turn(service, puppet, "one", "1")
    second = await turn(service, puppet, "two", "2")
    last_turn = store.last_turn

    async def and_then_deleted(owner: str, name: str) -> Job | None:
        found = await last_turn(owner, name)
        if found is not None and found.id == second.id:
            await store.delete(owner, second.id)
        return found

    monkeypatch.setattr(store, "last_turn", and_then_deleted)
    await service.threads.fork(OWNER, "t", "new", after=None)
    assert [words for words, _, _ in await told(service, "new")] == ["one", "1"]
