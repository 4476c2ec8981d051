"""A service on the memory store, and a provider that says what a test tells it, when it tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Self

import pytest
from store.model import MemoryStore

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Completed, Delta
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.providers.port import Default, ProviderEvent, ProviderStatus, Resume

OWNER = "local"
LIMITS = LimitsInfo(max_running=2, reserved_interactive=0, max_queued=6, stop_grace=0.0)


class Call:
    """One request at the provider."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.closed = asyncio.Event()
        self._said: asyncio.Queue[Sequence[ProviderEvent] | BaseException] = asyncio.Queue()

    @property
    def unread(self) -> int:
        """How much was said that the engine has not read."""
        return self._said.qsize()

    def say(self, *texts: str) -> Self:
        self._said.put_nowait([Delta(channel="text", text=text) for text in texts])
        return self

    def say_all(self, *said: ProviderEvent) -> Self:
        """Say anything."""
        self._said.put_nowait(said)
        return self

    def keep(self, token: str, *texts: str) -> Self:
        """Say something that the provider keeps: it can be asked to go on behind it."""
        said: list[ProviderEvent] = [Delta(channel="text", text=text) for text in texts]
        self._said.put_nowait([*said, Resume(token=token)])
        return self

    def finish(self) -> None:
        self._said.put_nowait([Completed(at=0.0, finish_reason="stop")])

    def fail(self, error: BaseException) -> None:
        self._said.put_nowait(error)

    async def stream(self) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        try:
            while True:
                said = await self._said.get()
                if isinstance(said, BaseException):
                    raise said
                yield said
                if isinstance(said[-1], Completed):
                    return
        finally:
            self.closed.set()


class Puppet:
    """A provider, and the registry that knows only it. ``await puppet.call()`` is the next request."""

    name = "puppet"
    aliases: Mapping[str, str] = {}

    def full_name(self, model: str) -> str:
        return self.aliases.get(model, model)

    def check(self, spec: JobSpec) -> None:
        pass

    async def default(self) -> Default | None:
        return Default(model="puppet/one", why="There is no other.")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.names = {"puppet"}
        self.fault: ErrorInfo | None = None
        self.cancelled_responses: list[Job] = []
        self._new: asyncio.Queue[Call] = asyncio.Queue()

    async def call(self) -> Call:
        async with asyncio.timeout(60):
            return await self._new.get()

    def resolve(self, model: str) -> Puppet:
        if model.partition("/")[0] not in self.names:
            raise ProviderError(f"No provider for {model}.", code="unknown_provider")
        return self

    def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        call = Call(job)
        self.calls.append(call)
        self._new.put_nowait(call)
        return call.stream()

    async def cancel_response(self, job: Job) -> None:
        self.cancelled_responses.append(job)

    async def status(self, *, refresh: bool = False) -> list[ProviderStatus]:
        return []

    def config_error(self) -> ErrorInfo | None:
        return self.fault


def spec(prompt: str = "Hello", **fields: object) -> JobSpec:
    return JobSpec(model="puppet/one", messages=(Message(role="user", content=prompt),), **fields)  # type: ignore[arg-type]


@pytest.fixture
def puppet() -> Puppet:
    return Puppet()


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore(server="here")


@pytest.fixture
async def engine(store: MemoryStore, puppet: Puppet) -> AsyncIterator[Engine]:
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS)
    await engine.open()
    yield engine
    await engine.close()


async def ended(engine: Engine, job_id: str) -> Job:
    """Follow a job to its end."""
    job = await engine.jobs.get(OWNER, job_id)
    async with asyncio.timeout(60), aclosing(engine.jobs.follow(job, after=0)) as batches:
        async for _ in batches:
            pass
    return await engine.jobs.get(OWNER, job_id)


async def shown(engine: Engine, job_id: str, text: str) -> None:
    """Follow a job until this text has been shown."""
    job = await engine.jobs.get(OWNER, job_id)
    async with asyncio.timeout(60), aclosing(engine.jobs.follow(job, after=0)) as batches:
        async for _ in batches:
            if (await engine.jobs.answer(OWNER, job_id))[1].text == text:
                return


async def reached(engine: Engine, job_id: str, status: str) -> Job:
    """Wait until a job has this state."""
    news = asyncio.Event()
    deaf = engine.listen(lambda change: news.set())
    try:
        async with asyncio.timeout(60):
            while (job := await engine.jobs.get(OWNER, job_id)).status != status:
                await news.wait()
                news.clear()
    finally:
        deaf()
    return job


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"
