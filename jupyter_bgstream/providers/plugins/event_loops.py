"""Event loops for the jobs of a plug-in: a shared one, and spare ones while that is blocked.

HTTP clients belong to the loop that created them, and libraries reuse them between calls. So these loops stay open
while the plug-in is in use: with a loop per job, clients would outlive their loop and fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from ..daemon_threads import DaemonThreadExecutor

BLOCKED_SECONDS = 2.0  # a loop that does not start a job within this time is blocked

log = logging.getLogger(__name__)


class LoopJob(Protocol):
    """A job for a plug-in's loop."""

    begun: asyncio.Event  # of the server's loop

    async def run(self) -> None:
        """Run in this loop; return at once if it runs in another loop or was closed. Never raise."""

    def lose(self, error: BaseException) -> None:
        """End with an error: the loop has died."""


class PluginLoops:
    """The loops of one plug-in. They stop when this object is garbage-collected."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shared: PluginLoop | None = None
        self._spare: list[PluginLoop] = []  # those without a job
        self._all: list[PluginLoop] = []
        weakref.finalize(self, _stop, self._all).atexit = False

    async def begin(self, job: LoopJob) -> None:
        """Start a job in the shared loop, or in a spare one if that is blocked.

        Each job is offered to a blocked shared loop too. The first loop that responds runs it, so a loop that is free
        again gets the next jobs.
        """
        if self._shared is None or self._shared.dead:
            self._shared = self._new_loop()
        shared = self._shared
        shared.offer(job)
        if not shared.blocked:
            try:
                async with asyncio.timeout(BLOCKED_SECONDS):
                    await job.begun.wait()
                return
            except TimeoutError:
                shared.blocked = True
                log.warning(
                    "The plug-in %s has blocked its event loop for %g s, %s. Jobs in that loop wait; new jobs start in"
                    " other loops. Run blocking calls with asyncio.to_thread.",
                    self._name,
                    BLOCKED_SECONDS,
                    shared.place(),
                )
        spare = self._spare.pop() if self._spare else self._new_loop()
        spare.offer(job, done=lambda: self._spare.append(spare))

    def _new_loop(self) -> PluginLoop:
        self._all[:] = [loop for loop in self._all if not loop.dead]
        loop = PluginLoop(self._name)
        self._all.append(loop)
        return loop


class PluginLoop:
    """An event loop in a daemon thread, which does not keep the server's process alive."""

    def __init__(self, name: str) -> None:
        self.blocked = False  # since a job did not start in time, until one does
        self.dead = False
        self._name = name
        self._stopping = False
        self._jobs: set[LoopJob] = set()  # jobs that run here; used by the loop's thread only
        self._tasks: set[asyncio.Task[None]] = set()  # their tasks; the loop itself has weak references only
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(DaemonThreadExecutor())
        self._thread = threading.Thread(target=self._run, name=f"bgstream-{name}", daemon=True)
        self._thread.start()

    def offer(self, job: LoopJob, done: Callable[[], None] = lambda: None) -> None:
        """Start a job unless another loop runs it; call ``done`` in the loop's thread when it has ended."""
        try:
            self._loop.call_soon_threadsafe(self._begin, job, done, context=Context())
        except RuntimeError:  # the loop has just died
            self.dead = True

    def stop(self) -> None:
        """Cancel all tasks, and end the thread."""
        self._stopping = True
        if not self.dead:
            try:
                self._loop.call_soon_threadsafe(self._loop.stop)
            except RuntimeError:
                self.dead = True

    def place(self) -> str:
        """Return the current position of the thread, as ``in function (file:line)``."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        if frame is None:
            return "and its thread has ended"
        return f"in {frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"

    def _begin(self, job: LoopJob, done: Callable[[], None]) -> None:
        task = self._loop.create_task(self._host(job, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _host(self, job: LoopJob, done: Callable[[], None]) -> None:
        self.blocked = False
        self._jobs.add(job)
        try:
            await job.run()
        finally:
            self._jobs.discard(job)
            done()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._stopping:
                try:
                    self._loop.run_forever()
                except (SystemExit, KeyboardInterrupt) as error:  # from a task that the plug-in started itself
                    log.warning("The plug-in %s raised %s in a task.", self._name, type(error).__name__)
            self._cancel_all()
        except BaseException as error:
            log.exception("the event loop of the plug-in %s has died", self._name)
            self.dead = True
            for job in self._jobs:
                job.lose(error)
        finally:
            self.dead = True
            with contextlib.suppress(Exception):  # a broken loop cannot always be closed
                self._loop.close()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())


def _stop(loops: list[PluginLoop]) -> None:
    for loop in loops:
        loop.stop()
