"""Event loops of plug-ins: jobs share a lasting loop, and a blocked or broken loop delays no other job."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from providers.speaking import job, read, text
from providers.test_generators import serve

from jupyter_bgstream.providers.plugins import event_loops as plugin_loops


async def where(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
    yield str(id(asyncio.get_running_loop()))


async def test_jobs_share_one_lasting_event_loop() -> None:
    service = serve(where)
    loops = [text(said) for said, _ in [await read(service, job("agent/one")) for _ in range(3)]]
    together = await asyncio.gather(*(read(service, job("agent/one")) for _ in range(20)))
    assert {*loops, *(text(said) for said, _ in together)} == {loops[0]}


async def test_asyncio_lock_made_by_one_job_works_in_others() -> None:
    lock: asyncio.Lock | None = None

    async def locking(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        nonlocal lock
        lock = lock or asyncio.Lock()  # as HTTP clients have them
        async with lock:
            await asyncio.sleep(0)  # so that the others wait for it, and it belongs to this loop
            yield "mine"

    service = serve(locking)
    for _ in range(2):
        answers = await asyncio.gather(*(read(service, job("agent/one")) for _ in range(5)))
        assert [(text(said), error) for said, error in answers] == [("mine", None)] * 5


class TestBlocking:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plugin_loops, "BLOCKED_SECONDS", 3.0)  # on a busy machine a loop may be late by a second

    async def test_jobs_start_beside_blocking_job(self, caplog: pytest.LogCaptureFixture) -> None:
        blocks, let_go = threading.Event(), threading.Event()

        async def blocking(messages: list[dict[str, Any]], model: str, params: Any) -> AsyncIterator[str]:
            yield f"{threading.get_ident()} "
            if messages[-1]["content"] == "block":
                blocks.set()
                let_go.wait(60)  # as time.sleep and clients without async do
            yield "done"

        service = serve(blocking)
        stuck = asyncio.create_task(read(service, job("agent/one", prompt="block"), patience=30))
        try:
            assert await asyncio.to_thread(blocks.wait, 60)
            threads: set[str] = set()
            async with asyncio.timeout(60):
                while True:  # a loop is spare a moment after its job has ended
                    said, error = await read(service, job("agent/one", prompt="go on"))
                    assert error is None
                    thread = text(said).split()[0]
                    if thread in threads:
                        break
                    threads.add(thread)
            assert not stuck.done()
        finally:
            let_go.set()
        said, error = await stuck
        assert error is None
        assert text(said).split()[0] not in threads
        (warning,) = [entry.getMessage() for entry in caplog.records if "has blocked its event loop" in entry.message]
        assert "test_plugin_loops.py" in warning or "threading.py" in warning
        assert "asyncio.to_thread" in warning
        # When the shared loop answers again, jobs begin there.
        async with asyncio.timeout(60):
            while text((await read(service, job("agent/one")))[0]).split()[0] in threads:
                pass

    async def test_blocking_jobs_run_in_parallel(self) -> None:
        all_here = threading.Barrier(5)

        async def blocking(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
            all_here.wait(60)  # raises if one of them does not come
            yield "done"

        service = serve(blocking)
        answers = await asyncio.gather(*(read(service, job("agent/one"), patience=30) for _ in range(5)))
        assert [(text(said), error) for said, error in answers] == [("done", None)] * 5

    async def test_job_closed_before_start_never_starts(self) -> None:
        blocks, let_go = threading.Event(), threading.Event()
        asked: list[str] = []

        async def blocking(messages: list[dict[str, Any]], model: str, params: Any) -> AsyncIterator[str]:
            asked.append(messages[-1]["content"])
            blocks.set()
            let_go.wait(60)
            yield "done"

        service = serve(blocking)
        first = asyncio.create_task(read(service, job("agent/one", prompt="first"), patience=30))
        assert await asyncio.to_thread(blocks.wait, 60)
        second = asyncio.create_task(read(service, job("agent/one", prompt="second")))
        await asyncio.sleep(0)  # it has been offered to the loop
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        let_go.set()
        assert (await first)[1] is None
        await read(service, job("agent/one", prompt="third"))
        assert asked == ["first", "third"]


class TestLoopFailures:
    @pytest.mark.parametrize("how", ["exit", "stop"])
    async def test_loop_survives_exit_and_stop(self, how: str) -> None:
        async def leaving() -> None:
            sys.exit(3)

        async def agent(messages: list[dict[str, Any]], model: str, params: Any) -> AsyncIterator[str]:
            yield "before "
            if messages[-1]["content"] == "exit":
                task = asyncio.create_task(leaving())  # its SystemExit goes through the loop
                await asyncio.wait([task])
                task.exception()
            elif messages[-1]["content"] == "stop":
                asyncio.get_running_loop().stop()
                await asyncio.sleep(0)
            yield "after"

        service = serve(agent)
        async with aclosing(service.stream(job("agent/one", prompt="beside"))) as beside:
            await anext(beside)
            for prompt in (how, "next"):
                said, error = await read(service, job("agent/one", prompt=prompt))
                assert (text(said), error) == ("before after", None)

    async def test_dead_loop_fails_its_jobs_and_is_replaced(self) -> None:
        def broken() -> None:
            raise OSError("no more sockets")

        async def agent(messages: list[dict[str, Any]], model: str, params: Any) -> AsyncIterator[str]:
            yield "before "
            if messages[-1]["content"] == "die":
                asyncio.get_running_loop()._run_once = broken  # type: ignore[attr-defined]
                await asyncio.sleep(60)
            elif messages[-1]["content"] == "wait":
                await asyncio.sleep(60)
            yield "after"

        service = serve(agent)
        waiting = asyncio.create_task(read(service, job("agent/one", prompt="wait")))
        for prompt in ("next", "die"):
            said, error = await read(service, job("agent/one", prompt=prompt))
            assert (error is None) == (prompt == "next")
        assert error is not None
        assert "Its event loop died" in error.message
        said, error = await waiting
        assert text(said) == "before "
        assert error is not None
        assert (error.code, error.transient) == ("provider_error", False)
        said, error = await read(service, job("agent/one", prompt="next"))
        assert (text(said), error) == ("before after", None)


async def test_collected_provider_ends_threads_and_cancels_tasks() -> None:
    closed = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            closed.set()

    async def agent(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        agent.task = asyncio.create_task(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        agent.thread = threading.current_thread()  # type: ignore[attr-defined]
        yield "done"

    service = serve(agent)
    assert (await read(service, job("agent/one")))[1] is None
    assert agent.thread.is_alive()  # type: ignore[attr-defined]
    assert not closed.is_set()
    del service
    gc.collect()
    await asyncio.to_thread(agent.thread.join, 10)  # type: ignore[attr-defined]
    assert not agent.thread.is_alive()  # type: ignore[attr-defined]
    assert closed.is_set()


async def test_context_variables_of_server_are_hidden_from_plugin() -> None:
    from contextvars import ContextVar

    variable = ContextVar("variable", default="empty")
    variable.set("of the server")

    async def agent(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        yield variable.get()

    assert text((await read(serve(agent), job("agent/one")))[0]) == "empty"
