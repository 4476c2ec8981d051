"""Two owners on one store: each server runs, adopts and deletes the jobs of its own owner only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from engine.conftest import LIMITS, Puppet, spec
from engine.shared_store import Gate, Shared, SharedMemory
from store.factories import HERE, append, ended, ids_of, running, text_deltas

from jupyter_bgstream.core.events import Cancelled, Completed
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.retention import DAY, NOTICE_DAYS, Retention, RetentionWorker
from jupyter_bgstream.store.ports.store import Store
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import START, FakeClock

ADA, BOB = "ada", "bob"


@pytest.fixture(params=["memory", "sqlite"])
def new_store(request, tmp_path) -> Callable[[str], Any]:
    """Make another server's store on the same data."""
    shared = Shared()
    if request.param == "memory":
        return lambda server: SharedMemory(shared, server)
    return lambda server: SQLiteStore(tmp_path / "jobs.sqlite", server=server)


class Server:
    """One owner's server, which may be killed."""

    def __init__(self, name: str, owner: str | None, store: Any, limits: LimitsInfo) -> None:
        self.gate = Gate(store)
        self.clock = FakeClock()
        self.puppet = Puppet()
        self.engine = Engine(
            store=self.gate,  # type: ignore[arg-type]
            providers=self.puppet,
            server=name,
            owner=owner,
            limits=limits,
            clock=self.clock,
        )

    async def kill(self) -> None:
        """Let nothing more of it reach the store, and let go of its lock."""
        self.gate.dead = True
        await self.engine.close()

    async def look(self) -> None:
        """Let its recovery look for dead servers once."""
        await self.clock.sleeping()
        self.clock.advance(2)
        await self.clock.sleeping()


@pytest.fixture
async def start(new_store: Callable[[str], Any]) -> AsyncIterator[Callable[..., Any]]:
    """Start servers by name and owner; those that live are stopped in the end."""
    servers: list[Server] = []

    async def start(name: str, owner: str | None, limits: LimitsInfo = LIMITS) -> Server:
        server = Server(name, owner, new_store(name), limits)
        await server.engine.open()
        servers.append(server)
        return server

    yield start
    for server in servers:
        if not server.gate.dead:
            await server.engine.close()


async def leave_behind(server: Server, owner: str) -> list[Job]:
    """Kill a server with a plain and a retry job that run, and one that is queued."""
    jobs = [
        (await server.engine.jobs.submit(owner, spec(prompt, on_restart=rule), f"job-{prompt}"))[0]
        for prompt, rule in (("plain", "interrupt"), ("again", "retry"), ("queued", "interrupt"))
    ]
    for _ in range(2):
        await server.puppet.call()
    running = [await server.engine.jobs.get(owner, job.id) for job in jobs]
    await server.kill()
    return running


async def test_server_leaves_jobs_of_dead_server_of_another_owner_alone(start: Callable[..., Any]) -> None:
    bob = await start("bobs", BOB)
    left = await leave_behind(await start("adas", ADA), ADA)
    assert [job.status for job in left] == ["running", "running", "queued"]
    for _ in range(3):
        await bob.look()
    assert [await bob.engine.jobs.get(ADA, job.id) for job in left] == left
    assert bob.puppet.calls == []
    ada = await start("adas-next", ADA)
    plain, again, queued = left
    for _ in range(2):
        call = await ada.puppet.call()
        assert call.job.id in (again.id, queued.id)
        call.say("Whole.").finish()
        await reached_of(ada.engine, ADA, call.job.id, "completed")
    assert (await reached_of(ada.engine, ADA, plain.id, "interrupted")).server == "adas"
    assert bob.puppet.calls == []


async def test_server_adopts_only_jobs_of_its_own_owner(start: Callable[..., Any]) -> None:
    adas = await leave_behind(await start("adas", ADA), ADA)
    await leave_behind(await start("bobs", BOB), BOB)
    bob = await start("bobs-next", BOB)
    for _ in range(2):
        call = await bob.puppet.call()
        assert call.job.owner == BOB
        call.finish()
        await reached_of(bob.engine, BOB, call.job.id, "completed")
    await reached_of(bob.engine, BOB, "job-plain", "interrupted")
    assert [await bob.engine.jobs.get(ADA, job.id) for job in adas] == adas
    assert len(bob.puppet.calls) == 2
    assert await bob.engine.inbox.notices(ADA, "") == []


async def test_engine_without_owner_runs_jobs_of_every_owner(start: Callable[..., Any]) -> None:
    await leave_behind(await start("adas", ADA), ADA)
    await leave_behind(await start("bobs", BOB), BOB)
    worker = await start("worker", None)
    owners = set()
    for _ in range(4):
        call = await worker.puppet.call()
        owners.add(call.job.owner)
        call.finish()
    assert owners == {ADA, BOB}


async def test_running_limit_of_owner_ignores_jobs_of_other_owners(start: Callable[..., Any]) -> None:
    limits = msgspec.structs.replace(LIMITS, max_running_per_owner=1)
    for owner in (ADA, BOB):
        server = await start(f"server-of-{owner}", owner, limits)
        await server.engine.jobs.submit(owner, spec())
        assert (await server.puppet.call()).job.owner == owner


# Retention


@pytest.fixture
async def store(new_store: Callable[[str], Any]) -> AsyncIterator[Store]:
    store = new_store(HERE)
    await store.open()
    yield store
    await store.close()


class Hurried(FakeClock):
    """A clock for one sleeper, who never waits."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


def keeper(store: Store, owner: str | None, **settings: int) -> RetentionWorker:
    return RetentionWorker(store=store, clock=Hurried(), owner=owner, retention=Retention(**settings))


async def large(store: Store, owner: str, job_id: str, days_ago: float) -> None:
    job = await running(store, job_id, owner=owner)
    await append(store, job, text_deltas("words " * 100_000))
    await store.end(owner, job_id, Completed(at=START - days_ago * DAY, finish_reason="stop"))
    await store.mark_read(owner, "", ids=None, at=START - days_ago * DAY)


async def test_retention_days_of_one_owner_delete_no_answer_of_another(store: Store) -> None:
    for owner in (ADA, BOB, "local"):
        await ended(store, f"job-of-{owner}", Cancelled(at=START - 30 * DAY), owner=owner)
        await ended(store, f"job-unread-{owner}", Completed(at=START - 30 * DAY, finish_reason="stop"), owner=owner)
    keeps = keeper(store, ADA, retention_days=1, unread_retention_days=1)
    assert (await keeps.prune()).jobs == 1
    keeps._clock.advance(NOTICE_DAYS * DAY + 1)  # type: ignore[attr-defined]
    assert "1 unread answer " in keeps.warnings[0]
    assert (await keeps.prune()).jobs == 1
    assert await ids_of(store, ADA) == []
    for owner in (BOB, "local"):
        assert len(await ids_of(store, owner)) == 2
        assert [
            job.announced_at for job in await store.expired_jobs(owner=owner, before=START, unread=True, limit=9)
        ] == [None]


async def test_size_limit_counts_and_deletes_answers_of_own_owner_only(store: Store) -> None:
    await large(store, ADA, "job-of-ada", 3)
    for n in range(3):
        await large(store, BOB, f"job-of-bob-{n}", 20 - n)
    assert (await keeper(store, ADA, max_database_bytes=1_000_000).prune()).jobs == 0  # bob's 1.8 MB are not hers
    keeps = keeper(store, BOB, max_database_bytes=1_000_000)
    assert (await keeps.prune()).jobs == 2
    assert keeps.warnings == ()
    assert (await ids_of(store, ADA), await ids_of(store, BOB)) == (["job-of-ada"], ["job-of-bob-2"])
    keeps = keeper(store, "eve", max_database_bytes=1)
    assert (await keeps.prune()).jobs == 0
    assert keeps.warnings == ()


async def reached_of(engine: Engine, owner: str, job_id: str, status: str) -> Job:
    """Wait until an owner's job has this state."""
    news = asyncio.Event()
    deaf = engine.listen(lambda change: news.set())
    try:
        async with asyncio.timeout(60):
            while (job := await engine.jobs.get(owner, job_id)).status != status:
                await news.wait()
                news.clear()
    finally:
        deaf()
    return job
