"""The start and the stop of the engine, step by step, with stores and tasks that fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from engine.conftest import Puppet
from store.model import MemoryStore

from jupyter_bgstream.core.errors import InvalidRequestError, UnavailableError
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.server import engine_state as server_backend
from jupyter_bgstream.server.engine_state import Backend
from jupyter_bgstream.server.lifecycle import FIRST_RETRY, LONGEST_RETRY, BackgroundTasks, Lifecycle
from jupyter_bgstream.testing.clock import FakeClock


class Store(MemoryStore):
    """A store that cannot be opened as long as there are errors for it."""

    def __init__(self, errors: list[BaseException], opened: list[str]) -> None:
        super().__init__(server="here")
        self._errors = errors
        self._opened = opened

    async def open(self) -> None:
        if self._errors:
            raise self._errors.pop(0)
        await super().open()
        self._opened.append("open")

    async def close(self) -> None:
        await super().close()
        if "open" in self._opened:
            self._opened.append("close")


class World:
    """A lifecycle whose parts fail as a test says."""

    def __init__(self, *errors: BaseException, beside: Callable[[Engine], BackgroundTasks] = lambda _: {}) -> None:
        self.errors = list(errors)
        self.events: list[str] = []
        self.clock = FakeClock()
        self.backend = Backend(token="x")
        self.lifecycle = Lifecycle(
            self.backend,
            announce=self._announce,
            make_engine=self._make_engine,
            background_tasks=beside,
            clock=self.clock,
        )
        self.announce_errors: list[BaseException] = []

    def _announce(self) -> None:
        if self.announce_errors:
            raise self.announce_errors.pop(0)

    def _make_engine(self) -> Engine:
        store = Store(self.errors, self.events)
        return Engine(store=store, providers=Puppet(), server="here", limits=LimitsInfo(stop_grace=0.0))


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_start_is_repeated_with_longer_pauses_until_store_opens(caplog: pytest.LogCaptureFixture) -> None:
    world = World(*[UnavailableError("The disk is full.")] * 7)
    await world.lifecycle.start()
    pause, waited = FIRST_RETRY, []
    while world.errors:
        await world.clock.sleeping()
        assert world.backend.engine is None
        assert world.backend.retry_after == pause
        assert "The disk is full. The start is repeated automatically; no restart is needed." in world.backend.reason
        waited.append(pause)
        world.clock.advance(pause)
        pause = min(2 * pause, LONGEST_RETRY)
        await turns()
    await world.clock.sleeping()
    world.clock.advance(pause)
    await turns()
    assert waited == [1, 2, 4, 8, 16, 30]
    assert world.backend.engine is not None
    assert [record.levelno for record in caplog.records if "could not start" in record.message] == [logging.CRITICAL]
    await world.lifecycle.stop()


@pytest.mark.parametrize(
    "error", [UnavailableError("No."), OSError("No."), InvalidRequestError("No."), ValueError(), SystemExit(1)]
)
async def test_failure_after_store_was_opened_closes_store(error: BaseException) -> None:
    def fail(_: Engine) -> BackgroundTasks:
        raise error

    world = World(beside=fail)
    await world.lifecycle.start()
    assert world.backend.engine is None
    assert world.events == ["open", "close"]
    assert world.backend.reason.startswith("jupyter_bgstream could not start. ")
    assert (world.backend.retry_after is None) == (not isinstance(error, UnavailableError))
    await world.lifecycle.stop()


async def test_failed_runtime_file_opens_nothing_and_is_repeated() -> None:
    world = World()
    world.announce_errors = [UnavailableError("The folder is read-only.")]
    await world.lifecycle.start()
    assert world.events == []
    await world.clock.sleeping()
    world.clock.advance(FIRST_RETRY)
    await turns()
    assert world.events == ["open"]
    await world.lifecycle.stop()
    assert world.events == ["open", "close"]


async def test_stop_between_start_attempts_ends_them() -> None:
    world = World(UnavailableError("No."))
    await world.lifecycle.start()
    await world.clock.sleeping()
    await world.lifecycle.stop()
    world.clock.advance(100)
    await turns()
    assert world.events == []
    assert world.backend.reason == server_backend.STOPPING


async def test_stop_during_start_closes_opened_store() -> None:
    world = World()
    starting = asyncio.create_task(world.lifecycle.start())
    await asyncio.sleep(0)
    await world.lifecycle.stop()
    await starting
    assert world.events in ([], ["open", "close"])
    assert world.backend.engine is None


async def test_second_stop_waits_for_first() -> None:
    # Jupyter calls it once for each signal, and ends the loop after either call.
    world = World()
    await world.lifecycle.start()
    first = asyncio.create_task(world.lifecycle.stop())
    await asyncio.sleep(0)
    await world.lifecycle.stop()
    assert world.events == ["open", "close"]
    await first


async def test_failed_task_is_reported_at_once_and_store_is_closed_at_stop(caplog: pytest.LogCaptureFixture) -> None:
    async def die() -> None:
        raise FileNotFoundError("no such authorities")

    world = World(beside=lambda _: {"The webhook": die()})
    await world.lifecycle.start()
    await turns()
    (warning,) = world.backend.warnings
    assert warning.startswith("The webhook has stopped: Unexpected error: FileNotFoundError: no such authorities.")
    assert [record.levelno for record in caplog.records if "The webhook has stopped" in record.message] == [50]
    await world.lifecycle.stop()
    assert world.events == ["open", "close"]


async def test_request_waits_for_first_start_attempt_within_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(UnavailableError("No."))
    held = asyncio.create_task(world.backend.wait_settled())
    await turns()
    assert not held.done()
    await world.lifecycle.start()
    await held
    await world.lifecycle.stop()
    monkeypatch.setattr(server_backend, "HOLD_SECONDS", 0.01)
    backend = Backend(token="x")
    await backend.wait_settled()
    assert backend.reason == server_backend.STARTING
