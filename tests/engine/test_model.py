"""Random operations on several servers with one store, compared with a simple model."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from engine.conftest import OWNER, Call, Puppet, spec
from engine.model import MAX_ATTEMPTS, MAX_BULK, MAX_QUEUED, MAX_RUNNING, VIEWERS, Model, ModelJob, ModelServer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from store.model import MemoryStore
from store.model.inbox import Inbox
from store.model.state import State

from jupyter_bgstream.core.batches import BatchSpec
from jupyter_bgstream.core.codec import decode_event, decode_events
from jupyter_bgstream.core.errors import BgStreamError, ProviderError, UnavailableError
from jupyter_bgstream.core.events import End, Usage, Waiting
from jupyter_bgstream.core.job import Job, JobSource, JobSpec, StoredPriority
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Mute
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.recovery import Recovery
from jupyter_bgstream.store.changefeed import Changefeed
from jupyter_bgstream.store.port_values import Change, JobFilter
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock

LIMITS = LimitsInfo(
    max_running=MAX_RUNNING,
    reserved_interactive=MAX_RUNNING - MAX_BULK,
    max_queued=MAX_QUEUED,
    max_attempts=MAX_ATTEMPTS,
    stop_grace=0.0,
)
PATIENCE = 60.0  # real seconds until what the model says must be so
ALL = 1 << 30  # bytes


class Shared:
    """What several memory stores of one process share, as servers share a file."""

    def __init__(self) -> None:
        self.contents = State(Inbox(self.publish))
        self.alive: set[str] = set()
        self.feeds: list[Changefeed] = []

    def publish(self, changes: Sequence[Change]) -> None:
        for feed in self.feeds:
            Changefeed.publish(feed, changes)


class SharedMemory(MemoryStore):
    """A memory store that outlives its server; who is dead is told by who has closed it."""

    def __init__(self, shared: Shared, server: str) -> None:
        super().__init__(server=server)
        self._shared = shared
        self._name = server

    async def open(self) -> None:
        self._contents = self._shared.contents
        self._shared.alive.add(self._name)
        self._shared.feeds.append(self._feed)
        self._feed.publish = self._shared.publish  # type: ignore[method-assign]

    async def close(self) -> None:
        self._shared.alive.discard(self._name)
        self._shared.feeds.remove(self._feed)
        await super().close()

    async def abandoned_jobs(self, *, owner: str | None, limit: int) -> list[Job]:
        jobs = [stored.job for stored in self._of(owner)]
        return [job for job in jobs if not job.ended and job.server not in self._shared.alive][:limit]


class Gate:
    """A store behind which a server may die or stand still, at any call."""

    def __init__(self, store: Any) -> None:
        self.dead = False
        self.open_wide = asyncio.Event()
        self.open_wide.set()
        self._store = store
        self.kind = store.kind
        self.patience = 1.0

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._store.changes()  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        @functools.wraps(method)
        async def guarded(*arguments: Any, **options: Any) -> Any:
            await self.open_wide.wait()
            if not self.dead:
                result = await method(*arguments, **options)
                await self.open_wide.wait()
                if not self.dead:
                    return result
            if name in ("claim", "next_due"):  # a dead server has no trouble, and does not try again
                return [] if name == "claim" else None
            raise UnavailableError("This server is dead.")

        return guarded


class Watch:
    """A server's own view of the common clock, which knows when its recovery rests."""

    def __init__(self, clock: FakeClock, late: float) -> None:
        self._clock = clock
        self._late = late  # seconds; no two servers look after the dead at the same time
        self.rests_until: float | None = None

    def time(self) -> float:
        return self._clock.time()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None or task.get_coro().__qualname__ != Recovery.run.__qualname__:
            return await self._clock.sleep(seconds)
        self.rests_until = self._clock.time() + seconds + self._late
        await self._clock.sleep(seconds + self._late)
        self.rests_until = None
        return None


class Known(Puppet):
    """A provider that only knows some models."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    def resolve(self, model: str) -> Puppet:
        if model.partition("/")[0] not in self._names:
            raise ProviderError(f"No provider for {model}.", code="unknown_provider")
        return self

    @property
    def open(self) -> list[Call]:
        return [call for call in self.calls if not call.closed.is_set()]


class Server:
    """One server under test."""

    def __init__(self, name: str, store: Any, clock: FakeClock, knows: tuple[str, ...]) -> None:
        self.name = name
        self.gate = Gate(store)
        self.watch = Watch(clock, late=0.001 * int(name.rpartition("-")[2]))
        self.puppet = Known(knows)
        self.engine = Engine(
            store=self.gate,  # type: ignore[arg-type]
            providers=self.puppet,
            server=name,
            limits=LIMITS,
            clock=self.watch,
        )


class Reader:
    """A viewer that follows one job on one server."""

    def __init__(self, server: Server, job: Job, after: int) -> None:
        self.job, self.after = job, after
        self.events: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.closed = False
        self.server = server
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        with suppress(UnavailableError):  # its server stops
            async with aclosing(self.server.engine.jobs.follow(self.job, after=self.after)) as batches:
                async for batch in batches:
                    await self.reads.wait()
                    self.events.extend(batch.events)
                    assert batch.cursor.seq == self.after + len(self.events)
                    self.closed = batch.closed


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


some = st.integers(0, 7)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
viewers = st.sampled_from(VIEWERS)
notebooks = st.sampled_from(["a.ipynb", "b.ipynb"])
wishes = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["one", "one", "one", "two"]),
        "model": st.sampled_from(["puppet/one", "puppet/one", "odd/one"]),
        "notebook": notebooks,
        "on_restart": st.sampled_from(["interrupt", "retry"]),
        "retry_policy": st.sampled_from(["before_first_token", "always", "never"]),
        "priority": st.sampled_from(["interactive", "bulk"]),
    }
)
OPERATIONS = {
    "submit": (6, st.tuples(some, some, wishes)),
    "batch": (2, st.tuples(some, st.integers(1, 2), st.integers(1, 3), st.lists(st.tuples(some, wishes), max_size=3))),
    "retry": (3, st.tuples(some, some)),
    "cancel": (2, st.tuples(some, some)),
    "cancel_batch": (1, st.tuples(some, st.integers(1, 2))),
    "say": (4, st.tuples(some, st.lists(texts, min_size=1, max_size=3))),
    "count": (1, st.tuples(some, st.integers(0, 99))),
    "finish": (3, st.tuples(some)),
    "fail": (
        3,
        st.tuples(
            some,
            st.sampled_from(["rate_limited", "truncated", "bad_request", "provider_error"]),
            st.booleans(),
            st.sampled_from([0.0, 0.0, 30.0, 5000.0]),
            st.sampled_from(["", "but "]),
        ),
    ),
    "start_server": (3, st.tuples(st.booleans())),
    "crash": (3, st.tuples(some)),
    "stop": (1, st.tuples(some)),
    "suspend": (1, st.tuples(some)),
    "resume": (2, st.just(())),
    "advance": (4, st.tuples(st.sampled_from([0.5, 3.0, 11.0, 4000.0]))),
    "follow": (2, st.tuples(some, some, st.sampled_from([0.0, 0.5, 1.0]))),
    "unfollow": (1, st.tuples(some)),
    "turn_away": (1, st.tuples(some)),
    "seen": (2, st.tuples(some, viewers, some, st.booleans())),
    "read": (1, st.tuples(some, viewers, st.one_of(st.none(), st.integers(0, 3)))),
    "dismiss": (1, st.tuples(some, viewers, st.integers(0, 3))),
    "mute": (1, st.tuples(some, viewers, notebooks, st.booleans())),
}
operations = st.sampled_from([name for name, (weight, _) in OPERATIONS.items() for _ in range(weight)]).flatmap(
    lambda name: OPERATIONS[name][1].map(lambda arguments: (name, *arguments))
)
START: list[tuple[Any, ...]] = [
    ("submit", 0, n, {"prompt": "one", "notebook": "a.ipynb"} | options)
    for n, options in enumerate(
        [
            {"model": "puppet/one", "on_restart": "retry", "retry_policy": "always", "priority": "interactive"},
            {"model": "odd/one", "on_restart": "retry", "retry_policy": "before_first_token", "priority": "bulk"},
            {"model": "puppet/one", "on_restart": "interrupt", "retry_policy": "never", "priority": "interactive"},
        ]
    )
]
TWO = [
    {"prompt": "one", "notebook": "b.ipynb", "model": "puppet/one", "retry_policy": "always", "priority": "bulk"}
    | options
    for options in ({"on_restart": "retry"}, {"on_restart": "interrupt"})
]
START += [
    ("batch", 0, 1, 2, [(6, TWO[0]), (7, TWO[1])]),
    ("batch", 0, 2, 2, []),
    ("finish", 1),
    ("start_server", False),
]


@pytest.mark.parametrize(("kind", "examples"), [("memory", 120), ("sqlite", 25)])
def test_engine_and_store_match_model(
    kind: str, examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_bgstream.engine.retry_rule.random.uniform", lambda low, high: high)
    numbers = itertools.count()

    def new_stores() -> Callable[[str], Any]:
        if kind == "memory":
            return functools.partial(SharedMemory, Shared())
        path = tmp_path / f"{next(numbers)}.sqlite"
        return lambda server: SQLiteStore(path, server=server)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.lists(operations, min_size=10, max_size=40))
    def check(steps: list[tuple[Any, ...]]) -> None:
        asyncio.run(Stage(new_stores()).play([*START, *steps]))

    check()


# What it found, each as the test that failed first.


async def test_full_server_does_not_block_other_server_of_same_owner() -> None:
    shared, clock = Shared(), FakeClock()
    one, two = (Server(name, SharedMemory(shared, name), clock, ("puppet",)) for name in ("server-1", "server-2"))
    for server in (one, two):
        await server.engine.open()
    for _ in range(MAX_RUNNING):
        await one.engine.jobs.submit(OWNER, spec())
        await one.puppet.call()
    job, _ = await two.engine.jobs.submit(OWNER, spec())
    assert (await two.puppet.call()).job.id == job.id
    for server in (one, two):
        await server.engine.close()


async def test_job_at_attempt_limit_is_interrupted_at_close() -> None:
    shared, clock = Shared(), FakeClock()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        server = Server(f"server-{attempt}", SharedMemory(shared, f"server-{attempt}"), clock, ("puppet",))
        await server.engine.open()
        if attempt == 1:
            await server.engine.jobs.submit(OWNER, spec(on_restart="retry"), "job-0001")
        assert (await server.puppet.call()).job.attempt == attempt
        await server.engine.close()
    ended = shared.contents.jobs[OWNER, "job-0001"].job
    assert (ended.status, ended.attempt) == ("interrupted", MAX_ATTEMPTS)
    assert ended.error is not None
    assert ended.error.code == "server_stopped"
