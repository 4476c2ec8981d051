"""Random operations, played on servers and on the model."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.conftest import OWNER, Call
from engine.model import VIEWERS, Model, ModelJob, ModelServer
from engine.model_servers import Reader, Server

from jupyter_bgstream.core.batches import BatchSpec
from jupyter_bgstream.core.codec import decode_event, decode_events
from jupyter_bgstream.core.errors import BgStreamError, ProviderError
from jupyter_bgstream.core.events import End, Usage, Waiting
from jupyter_bgstream.core.job import Job, JobSource, JobSpec, StoredPriority
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Mute
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.store.port_values import JobFilter
from jupyter_bgstream.testing.clock import FakeClock

PATIENCE = 60.0  # real seconds until what the model says must be so
ALL = 1 << 30  # bytes


class Stage:
    """Plays operations on real services and on the model, and waits until both say the same."""

    def __init__(self, new_store: Callable[[str], Any]) -> None:
        self._new_store = new_store
        self._clock = FakeClock()
        self._start = self._clock.time()
        self._model = Model()
        self._servers: dict[str, Server] = {}
        self._names = itertools.count(1)
        self._readers: list[Reader] = []
        self._left: list[Reader] = []  # they looked away before the end
        self._logs: dict[str, list[bytes]] = {}

    async def play(self, steps: Sequence[tuple[Any, ...]]) -> None:
        done: list[tuple[Any, ...]] = []
        try:
            await self._start_server()
            await self._agree()
            for name, *arguments in steps:
                done.append((name, *arguments))
                await getattr(self, f"_{name}")(*arguments)
                await self._agree()
            await self._drain()
        except AssertionError as error:
            story = "\n".join(map(repr, done))
            raise AssertionError(f"{error}\nafter\n{story}") from None
        finally:
            for server in tuple(self._servers.values()):
                await self._close(server)
            for reader in self._readers:
                reader.task.cancel()
            await asyncio.gather(*(reader.task for reader in self._readers), return_exceptions=True)

    # Whom an operation is about

    def _up(self) -> list[Server]:
        return [server for name, server in self._servers.items() if not self._model.servers[name].suspended]

    def _one(self, which: int) -> Server | None:
        return up[which % len(up)] if (up := self._up()) else None

    def _job(self, which: int) -> ModelJob | None:
        jobs = list(self._model.jobs.values())
        return jobs[which % len(jobs)] if jobs else None

    def _call(self, which: int) -> Call | None:
        calls = [call for server in self._up() for call in server.puppet.open]
        return calls[which % len(calls)] if calls else None

    # Users

    async def _submit(self, which: int, number: int, wish: dict[str, Any]) -> None:
        if (server := self._one(which)) is not None:
            asked = server.engine.jobs.submit(OWNER, _spec(wish), f"job-{number:04d}")
            assert await _outcome(asked) == self._model.submit(server.name, f"job-{number:04d}", wish)

    async def _retry(self, which: int, number: int) -> None:
        server, job = self._one(which), self._job(number)
        if server is None or job is None:
            return
        new_id = None
        try:
            again, new = await server.engine.jobs.retry(OWNER, job.id)
            new_id, outcome = again.id, "new" if new else "same"
        except BgStreamError as error:
            outcome = error.code
        assert self._model.retry(server.name, job.id, new_id) == outcome
        assert new_id in (None, job.retried_by)

    async def _batch(self, which: int, number: int, total: int, jobs: list[tuple[int, dict[str, Any]]]) -> None:
        if (server := self._one(which)) is not None:
            named = {f"job-{n:04d}": wish for n, wish in jobs}
            specs = [(job_id, _spec(wish)) for job_id, wish in named.items()]
            asked = server.engine.batches.submit(OWNER, BatchSpec(id=f"batch-{number:04d}", total=total), specs)
            expected = self._model.submit_batch(server.name, f"batch-{number:04d}", total, list(named.items()))
            assert await _outcome(asked) == expected

    async def _cancel(self, which: int, number: int) -> None:
        server, job = self._one(which), self._job(number)
        if server is not None and job is not None:
            self._model.cancel(job.id)
            assert (await server.engine.jobs.cancel(OWNER, job.id)).status == job.status

    async def _cancel_batch(self, which: int, number: int) -> None:
        server = self._one(which)
        if server is not None and f"batch-{number:04d}" in self._model.batches:
            self._model.cancel_batch(f"batch-{number:04d}")
            await server.engine.batches.cancel(OWNER, f"batch-{number:04d}")

    async def _read(self, which: int, viewer: str, number: int | None) -> None:
        if (server := self._one(which)) is None:
            return
        notices = await server.engine.inbox.notices(OWNER, viewer)
        chosen = notices if number is None else notices[number : number + 1]
        self._model.mark(viewer, [str(notice.job or notice.batch) for notice in chosen])
        await server.engine.inbox.read(OWNER, viewer, None if number is None else [notice.id for notice in chosen])

    async def _dismiss(self, which: int, viewer: str, number: int) -> None:
        if (server := self._one(which)) is None:
            return
        for notice in (await server.engine.inbox.notices(OWNER, viewer))[number : number + 1]:
            self._model.notices[str(notice.job or notice.batch)].dismissed.add(viewer)
            await server.engine.inbox.dismiss(OWNER, viewer, notice.id)

    async def _seen(self, which: int, viewer: str, number: int, whole: bool) -> None:
        server, job = self._one(which), self._job(number)
        if server is None or job is None:
            return
        cursor = (await server.engine.jobs.get(OWNER, job.id)).cursor if whole else "-1"
        if whole and job.ended:
            self._model.mark(viewer, [job.id])
        await server.engine.inbox.seen(OWNER, viewer, job.id, str(cursor))

    async def _mute(self, which: int, viewer: str, notebook: str, on: bool) -> None:
        if (server := self._one(which)) is not None:
            mutes = self._model.mutes[viewer]
            (mutes.add if on else mutes.discard)(notebook)
            await server.engine.inbox.mute(OWNER, viewer, Mute(kind="notebook", name=notebook), on=on)

    async def _follow(self, which: int, number: int, part: float) -> None:
        server, job = self._one(which), self._job(number)
        if server is not None and job is not None:
            now = await server.engine.jobs.get(OWNER, job.id)
            self._readers.append(Reader(server, now, after=int(now.seq * part)))

    async def _unfollow(self, which: int) -> None:
        if self._readers:
            reader = self._readers.pop(which % len(self._readers))
            reader.task.cancel()
            await asyncio.gather(reader.task, return_exceptions=True)
            self._left.append(reader)

    async def _turn_away(self, which: int) -> None:
        if self._readers:
            reads = self._readers[which % len(self._readers)].reads
            (reads.clear if reads.is_set() else reads.set)()

    # Providers

    async def _say(self, which: int, texts: Sequence[str]) -> None:
        if (call := self._call(which)) is not None:
            self._model.say(call.job.id, "".join(texts))
            call.say(*texts)

    async def _count(self, which: int, tokens: int) -> None:
        if (call := self._call(which)) is not None:
            self._model.jobs[call.job.id].usage = tokens
            call._said.put_nowait([Usage(output_tokens=tokens)])

    async def _finish(self, which: int) -> None:
        if (call := self._call(which)) is not None:
            self._model.finish(call.job.id)
            call.finish()

    async def _fail(self, which: int, code: str, transient: bool, retry_after: float, word: str) -> None:
        if (call := self._call(which)) is not None:
            if word:
                self._model.say(call.job.id, word)
                call.say(word)
            self._model.fail(call.job.id, code, transient=transient, retry_after=retry_after)
            call.fail(ProviderError("No.", code=code, transient=transient, retry_after=retry_after or None))

    # Servers and time

    async def _start_server(self, odd: bool = True) -> None:
        if len(self._servers) < 2:
            name = f"server-{next(self._names)}"
            knows = ("puppet", "odd") if odd else ("puppet",)
            server = Server(name, self._new_store(name), self._clock, knows)
            self._model.servers[name] = ModelServer(knows)
            await server.engine.open()
            self._servers[name] = server
            self._model.look(name)

    async def _crash(self, which: int) -> None:
        servers = list(self._servers.values())
        if servers:
            server = servers[which % len(servers)]
            self._model.servers[server.name].alive = False
            server.gate.dead = True
            await self._close(server)

    async def _stop(self, which: int) -> None:
        if (server := self._one(which)) is not None:
            self._model.stop(server.name)
            await self._close(server)

    async def _close(self, server: Server) -> None:
        del self._servers[server.name]
        server.gate.open_wide.set()
        await server.engine.close()

    async def _suspend(self, which: int) -> None:
        if (server := self._one(which)) is not None:
            self._model.servers[server.name].suspended = True
            server.gate.open_wide.clear()

    async def _resume(self) -> None:
        for name, server in self._servers.items():
            if self._model.servers[name].suspended:
                self._model.servers[name].suspended = False
                if server.watch.rests_until is None or server.watch.rests_until <= self._clock.time():
                    self._model.look(name)
                server.gate.open_wide.set()

    async def _advance(self, seconds: float) -> None:
        # One server after the other looks after the dead, since who is first is a matter of chance.
        until = self._clock.time() + seconds
        for look in sorted(server.watch.rests_until for server in self._up() if server.watch.rests_until):
            if self._clock.time() < look <= until:
                self._move_clock(look)
                await self._agree()
        self._move_clock(until)

    def _move_clock(self, until: float) -> None:
        self._model.now = until - self._start
        for server in self._up():
            if server.watch.rests_until is not None and server.watch.rests_until <= until:
                self._model.look(server.name)
        self._clock.advance(until - self._clock.time())

    # Whether it is as it must be

    async def _agree(self) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while (difference := await self._difference()) is not None:
            assert asyncio.get_running_loop().time() < deadline, difference
            await asyncio.sleep(0.001)

    async def _difference(self) -> str | None:
        if not (up := self._up()):
            return None
        for server in up:
            if server.watch.rests_until is None:
                return f"{server.name} still looks after the dead"
        engine = up[0].engine
        jobs, _ = await engine.jobs.page(OWNER, JobFilter(limit=500))
        self._take_claims({job.id: job for job in jobs})
        if {job.id for job in jobs} != self._model.jobs.keys():
            return f"{[job.id for job in jobs]} are there, not {list(self._model.jobs)}"
        for job in jobs:
            model = self._model.jobs[job.id]
            if self._model.is_ready(model):
                return f"{job.id} is ready and does not run"
            if (is_so := await self._seen_in(engine, job)) != (must_be := _must_be(model)):
                return f"{job.id}: {is_so} instead of {must_be}"
        for server in up:
            running = sorted(job.id for job in jobs if job.status == "running" and job.server == server.name)
            asked = sorted(call.job.id for call in server.puppet.open)
            if asked != running:
                return f"{server.name} runs {running} and asks for {asked}"
        return await self._other_difference(engine)

    def _take_claims(self, jobs: dict[str, Job]) -> None:
        # In which order is the store's matter; who may, and that all do who may, is the model's.
        for model in self._model.jobs.values():
            job = jobs.get(model.id)
            if job is not None and job.attempt == model.attempt + 1 and self._model.is_ready(model):
                self._model.start(model)

    async def _seen_in(self, engine: Engine, job: Job) -> tuple[Any, ...]:
        job, answer = await engine.jobs.answer(OWNER, job.id)
        log = await engine.jobs.events(job, after=0, max_bytes=ALL)
        before = self._logs.get(job.id, [])
        assert log[: len(before)] == before, f"the log of {job.id} has changed"
        self._logs[job.id] = log
        events = decode_events(log[: job.seq])  # it may have grown since
        assert fold(events) == answer
        assert sum(isinstance(event, End) for event in events) == job.ended
        tokens = answer.usage.output_tokens if answer.usage else None
        earlier = [(partial.attempt, partial.text) for partial in answer.earlier]
        code = job.error.code if job.error else None
        waits = sum(isinstance(event, Waiting) for event in events)
        shown = (job.status, code, waits, job.attempt, answer.text, earlier, tokens, job.retry_of, job.retried_by)
        return shown if job.ended else (*shown, job.server)

    async def _other_difference(self, engine: Engine) -> str | None:
        for batch_id in self._model.batches:
            batch = await engine.batches.get(OWNER, batch_id)
            counts = {state: getattr(batch.counts, state) for state in batch.counts.__struct_fields__}
            view = batch.status, batch.total, batch.submitted, {state: n for state, n in counts.items() if n}
            if view != self._model.batch_view(batch_id):
                return f"{batch_id}: {view} instead of {self._model.batch_view(batch_id)}"
        for viewer in VIEWERS:
            notices = await engine.inbox.notices(OWNER, viewer)
            inbox = sorted((str(n.job or n.batch), n.status, n.read_at is not None, n.muted) for n in notices)
            if inbox != self._model.inbox(viewer):
                return f"{viewer!r} has {inbox} instead of {self._model.inbox(viewer)}"
        return None

    async def _drain(self) -> None:
        await self._resume()
        await self._agree()
        await self._start_server()
        if not any("odd" in server.puppet._names for server in self._servers.values()):
            await self._crash(0)
            await self._start_server()
        await self._agree()
        for reader in self._readers:
            reader.reads.set()
        while any(not job.ended for job in self._model.jobs.values()):
            while self._call(0) is not None:
                await self._say(0, ["the ", "end"])
                await self._finish(0)
                await self._agree()
            await self._advance(4000.0)
            await self._agree()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(reader.task for reader in self._readers))
        for reader in [*self._left, *self._readers]:
            log = self._logs[reader.job.id][reader.after :]
            assert reader.events == log[: len(reader.events)], f"a viewer of {reader.job.id} saw something else"
        for reader in self._readers:
            if reader.server.name in self._servers:
                assert reader.closed
                assert reader.after + len(reader.events) == len(self._logs[reader.job.id])
        for log in self._logs.values():
            assert isinstance(decode_event(log[-1]), End)


def _must_be(job: ModelJob) -> tuple[Any, ...]:
    said = (job.text, job.earlier, job.usage)
    shown = (job.status, job.code, job.waits, job.attempt, *said, job.retry_of, job.retried_by)
    return shown if job.ended else (*shown, job.server)


def _spec(wish: dict[str, Any]) -> JobSpec:
    fields = {name: value for name, value in wish.items() if name not in ("prompt", "notebook", "priority")}
    priority = StoredPriority[wish["priority"]]
    message = Message(role="user", content=wish["prompt"])
    return JobSpec(messages=(message,), source=JobSource(notebook=wish["notebook"]), priority=priority, **fields)


async def _outcome(asked: Awaitable[Any]) -> str:
    try:
        answer = await asked
    except BgStreamError as error:
        return error.code
    return "new" if not isinstance(answer, tuple) or answer[1] else "same"
