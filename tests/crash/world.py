"""One database and the servers on it, which are killed, stopped and suspended at moments that a seed chooses."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from crash.figures import Figures
from crash.laws import Facts, Life, Wish, attempts_of, check
from crash.provider import Manner, Provider
from crash.viewers import RawEvents, Sightings, Viewer
from harness.jupyter import Jupyter

from jupyter_bgstream.core.codec import decode_events

MAX_ATTEMPTS = 3
JOBS = 30
MOMENT_SECONDS = 1.5  # then it happens anyway: nothing may be left that could be counted
TOLD_SECONDS = 120.0  # until a death is in every log that it touched: a look of recovery is 10 s away at most
DRAIN_SECONDS = 120.0
LOOK_SECONDS = 2.5  # longer than between two looks for dead servers


@dataclass
class Up:
    """A server that runs."""

    server: Jupyter
    life: Life
    viewer: Viewer
    client: httpx.AsyncClient


@dataclass
class Moment:
    """Something to do when so many more of a kind have been counted."""

    what: str
    left: int
    do: Callable[[], None]


class World:
    """``await run()`` raises AssertionError if a law is broken; ``deaths``: times before the last life."""

    def __init__(self, seed: int, home: Path, *, names: tuple[str, ...] = ("a",), deaths: int = 6, jobs: int = JOBS):
        self.figures = Figures()
        self._chance = random.Random(f"{seed} {names}")
        self._names = names
        self._deaths = deaths
        self._home = home
        self._database = home / "jobs.sqlite"
        self._moments: list[Moment] = []
        self._lives: Counter[str] = Counter()
        self._up: dict[str, Up] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stored: set[str] = set()  # jobs whose submit was answered
        self._provider = Provider(f"{seed} {names}", self._tick)
        sightings = Sightings(self._tick)
        self._viewers = {name: Viewer(sightings, self._chance) for name in names}
        self._facts = Facts(
            max_attempts=MAX_ATTEMPTS,
            wishes={},
            lives={},
            asked=self._provider.asked,
            doubled=self._provider.doubled,
            sightings=sightings,
        )
        self._wishes = [self._wish(number) for number in range(jobs)]

    async def run(self) -> Figures:
        """Live through all deaths, then wait for every job's end and check everything."""
        began = time.monotonic()
        async with self._provider:
            try:
                for _ in range(self._deaths):
                    await self._one_death()
                await self._last_life()
            finally:
                for up in tuple(self._up.values()):
                    await self._leave(up)
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
        self.figures.counts["seconds"] = round(time.monotonic() - began)
        return self.figures

    def _wish(self, number: int) -> Wish:
        chance = self._chance
        job = f"job-{number:04d}"
        server = chance.choice(self._names)
        own = len(self._names) > 1 and chance.random() < 0.12
        self._provider.manners[job] = Manner(
            refused=chance.choice([0] * 8 + [1, 2]),
            status=chance.choice([429, 503]),
            broken=chance.choice(["answer"] * 10 + ["cut", "reset"]),
            pace=chance.choice([0.0, 0.005, 0.02]),
            words=chance.choice([10, 40, 120]),
            torn=chance.random() < 0.3,
        )
        return Wish(
            job=job,
            server=server,
            on_restart=chance.choice(["retry", "interrupt"]),
            retry_policy=chance.choice(["before_first_token", "always", "never"]),
            provider=f"only_{server}" if own else "demo",
            thread=f"thread {chance.randrange(2)}" if chance.random() < 0.2 else None,
        )

    # Servers

    def _tick(self, what: str) -> None:
        for moment in tuple(self._moments):
            if moment.what == what:
                moment.left -= 1
                if moment.left == 0:
                    self._moments.remove(moment)
                    moment.do()

    def _server(self, name: str) -> tuple[Jupyter, Life]:
        self._lives[name] += 1
        life = Life(id=f"{name}{self._lives[name]}", server=name, began=time.time())
        self._facts.lives[life.id] = life
        url = self._provider.base_url(life.id)
        config = {
            "BgStreamApp": {
                "providers": {"demo": {"base_url": url}, f"only_{name}": {"base_url": url}},
                "database": str(self._database),
                "max_running": 8,
                "reserved_interactive": 2,
                "max_attempts": MAX_ATTEMPTS,
                "stop_grace": 0.2,
            },
        }
        return Jupyter(self._home / name, config=config), life

    async def _start(self, name: str, *, killed: bool = False) -> None:
        """Start a server; ``killed``: it dies while it starts, from the moment it has opened the database."""
        server, life = self._server(name)
        if killed:
            self.figures.counts["kills"] += 1
            locks = self._locks()
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            while not starting.done() and not self._locks() - locks:  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.002)
            await asyncio.sleep(self._chance.uniform(0, 0.03))
            os.kill(server.pid, signal.SIGKILL)
            life.death, life.how = time.time(), "kill"
            await asyncio.gather(starting, return_exceptions=True)  # it was told that the server does not start
            await asyncio.to_thread(server.kill)
            return
        await asyncio.to_thread(server.start)
        headers = {"Authorization": f"token {server.token}"}
        client = httpx.AsyncClient(base_url=server.api, headers=headers, trust_env=False, verify=False, timeout=60)
        self._up[name] = Up(server, life, self._viewers[name], client)

    def _locks(self) -> set[Path]:
        return set(self._database.with_name(self._database.name + ".servers").glob("*.lock"))

    async def _leave(self, up: Up) -> None:
        """Clear up after a server that is dead, or kill it."""
        del self._up[up.life.server]
        if up.life.death is None:
            self._kill(up)
        await asyncio.to_thread(up.server.kill)
        await up.viewer.leave()
        await up.client.aclose()
        assert not up.viewer.wrong, up.viewer.wrong

    def _kill(self, up: Up) -> None:
        if up.life.death is None:
            os.kill(up.server.pid, signal.SIGKILL)
            up.life.death, up.life.how = time.time(), "kill"

    async def _stop(self, up: Up) -> None:
        up.viewer.stopping = True
        up.life.death, up.life.how = time.time(), "stop"
        await asyncio.to_thread(up.server.stop)
        up.viewer.stopping = False

    async def _suspend(self, up: Up) -> None:
        os.kill(up.server.pid, signal.SIGSTOP)
        await asyncio.sleep(LOOK_SECONDS if len(self._names) > 1 else 0.3)
        os.kill(up.server.pid, signal.SIGCONT)

    # What happens

    async def _one_death(self) -> None:
        down = [name for name in self._names if name not in self._up]
        if down and self._chance.random() < 0.12:
            await self._start(down.pop(), killed=True)
            return
        await self._start_all(down)
        victims = [self._up[name] for name in self._victims()]
        self._submit()
        self._cancel_some()
        if self._chance.random() < 0.1:
            self.figures.counts["suspensions"] += 1
            await self._moment(lambda: None)
            await self._suspend(victims[0])
        if self._chance.random() < 0.15:
            self.figures.counts["stops"] += len(victims)
            await self._moment(lambda: None)
            await asyncio.gather(*map(self._stop, victims))
        else:
            self.figures.counts["kills"] += len(victims)
            await self._moment(lambda: [self._kill(up) for up in victims])
        self._moments.clear()
        for up in victims:
            await self._leave(up)
        if self._up and self._chance.random() < 0.5:
            await self._told()  # by who is left, before the dead one's successor comes

    def _victims(self) -> list[str]:
        if len(self._names) > 1 and self._chance.random() < 0.3:
            return list(self._names)
        return [self._chance.choice(self._names)]

    async def _start_all(self, names: list[str]) -> None:
        await asyncio.gather(*map(self._start, names))
        if self._stored:
            await self._told()
            check(self._facts, over=False)
        for name in names:
            up = self._up[name]
            await up.viewer.watch(up.server, sorted(self._stored))
            if self._stored:
                up.viewer.follow_by_http(self._chance.choice(sorted(self._stored)))

    async def _moment(self, do: Callable[[], object]) -> None:
        """Return once something has been counted, and was done in the same step of the loop."""
        happened = asyncio.Event()

        def fire() -> None:
            do()
            happened.set()

        what, most = self._chance.choice(
            [("chunk", 250), ("chunk", 250), ("chunk", 20), ("request", 12), ("seen", 250), ("stored", 6), ("ready", 1)]
        )
        moment = Moment(what, self._chance.randint(1, most), fire)
        self._moments.append(moment)
        if what == "ready":
            await asyncio.sleep(self._chance.uniform(0, 0.05))
            self._tick("ready")
        try:
            async with asyncio.timeout(MOMENT_SECONDS):
                await happened.wait()
        except TimeoutError:
            self._moments.remove(moment)
            self.figures.counts["moments by the clock"] += 1
            fire()

    def _submit(self) -> None:
        waiting = [wish for wish in self._wishes if wish.job not in self._stored]
        first = len(waiting) == len(self._wishes)
        portion = waiting[: len(waiting) // 3 if first else max(3, len(waiting) // 3)]
        self._do(self._submit_all(portion))

    async def _submit_all(self, wishes: list[Wish]) -> None:
        for wish in wishes:
            up = self._up.get(wish.server)
            if up is None or wish.job in self._stored:
                continue
            await self._submit_one(up, wish)

    async def _submit_one(self, up: Up, wish: Wish) -> None:
        self._facts.wishes[wish.job] = wish
        given = self._facts.given.setdefault(wish.job, set())
        given.add(up.life.id)
        body = {
            "id": wish.job,
            "model": f"{wish.provider}/one",
            "prompt": f"Tell me of {wish.job}",
            "on_restart": wish.on_restart,
            "retry_policy": wish.retry_policy,
            "priority": "bulk" if wish.job[-1] in "02468" else "interactive",
            "thread": wish.thread,
        }
        self._tick("stored")
        try:
            answer = await up.client.post("jobs", json=body)
        except httpx.HTTPError:  # killed: it may be stored or not
            return
        if answer.status_code == 503 and up.viewer.stopping:
            return
        assert answer.status_code in (200, 201), answer.text
        self._stored.add(wish.job)
        if answer.status_code == 201:
            given.intersection_update({up.life.id})
        else:  # a life before this one had stored it
            given.discard(up.life.id)
            self.figures.counts["submits whose answer was lost"] += 1
        for other in self._up.values():
            other.viewer.follow(wish.job)

    def _cancel_some(self) -> None:
        for _ in range(self._chance.choice([0, 0, 1, 2])):
            count = self._chance.randint(1, 100)
            self._moments.append(Moment("chunk", count, lambda: self._do(self._cancel())))

    async def _cancel(self) -> None:
        up = self._chance.choice(list(self._up.values()))
        if self._stored:
            try:
                answer = await up.client.post(f"jobs/{self._chance.choice(sorted(self._stored))}/cancel")
            except httpx.HTTPError:
                return
            assert answer.status_code == 200 or (up.viewer.stopping and answer.status_code == 503), answer.text

    def _do(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

    # What is known

    async def _last_life(self) -> None:
        await self._start_all([name for name in self._names if name not in self._up])
        while len(self._stored) < len(self._wishes):
            await self._submit_all(self._wishes)
        client = next(iter(self._up.values())).client
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not await self._all_ended(client):  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self._read(client)
            check(self._facts, over=True)  # says which
            raise
        for task in self._tasks:
            if task.done():
                task.result()
        logs = []
        for up in self._up.values():
            await self._read(up.client)
            logs.append(self._facts.logs)
            answers = await asyncio.gather(*(up.client.get(f"jobs/{job}") for job in self._facts.logs))
            self._facts.forms = {answer.json()["id"]: answer.json() for answer in answers}
            self._facts.notices = (await up.client.get("notices")).json()["notices"]
            self._facts.read_at = float("inf")
            check(self._facts, over=True)
        assert logs[0] == logs[-1]
        self.figures.add(self._facts)

    @staticmethod
    async def _all_ended(client: httpx.AsyncClient) -> bool:
        jobs = (await client.get("jobs?limit=500")).json()["jobs"]
        return all(job["ended_at"] is not None for job in jobs)

    async def _read(self, client: httpx.AsyncClient) -> None:
        """Read all logs, as bytes."""
        self._facts.read_at = time.time()
        stored = set(self._stored)
        jobs = [job["id"] for job in (await client.get("jobs?limit=500")).json()["jobs"]]
        assert stored <= set(jobs), f"stored and lost: {stored - set(jobs)}"
        logs = await asyncio.gather(*(self._read_log(client, job) for job in jobs))
        self._facts.logs = dict(zip(jobs, logs, strict=True))

    @staticmethod
    async def _read_log(client: httpx.AsyncClient, job: str) -> list[bytes]:
        answer = await client.get(f"jobs/{job}/events", params={"offset": "-1"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["Stream-Up-To-Date"] == "true"
        return [bytes(event) for event in msgspec.json.decode(answer.content, type=RawEvents)]

    async def _told(self) -> None:
        """Wait until every death so far is in the logs of the jobs that it cut off."""
        client = next(iter(self._up.values())).client
        deadline = time.monotonic() + TOLD_SECONDS
        while True:
            await self._read(client)
            untold = [job for job in self._facts.logs if self._is_cut_off(job)]
            if not untold:
                return
            assert time.monotonic() < deadline, f"nobody looks after {untold}"
            await asyncio.sleep(0.05)

    def _is_cut_off(self, job: str) -> bool:
        asked = [asked for asked in self._facts.asked if asked.job == job]
        tries = attempts_of(decode_events(self._facts.logs[job]), asked, self._facts)
        if not tries or tries[-1].after is not None or tries[-1].asked is None:
            return False
        return self._facts.lives[tries[-1].asked.life].death is not None
