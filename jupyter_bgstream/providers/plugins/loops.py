"""The event loops in which the jobs of a plug-in run: one that they share, and spare ones while that one is blocked.

HTTP clients belong to the loop in which they were made, and libraries keep them between calls. So these loops are
never closed while the plug-in is in use: with a loop per job, clients would outlive their loop, and fail.
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

BLOCKED_SECONDS = 2.0  # that a loop may take to begin a job; then it is blocked

log = logging.getLogger(__name__)


class LoopJob(Protocol):
    """A job as its loop sees it."""

    begun: asyncio.Event  # of the server's loop

    async def run(self) -> None:
        """Run it here; return at once if it has begun in another loop or was closed. Raises nothing."""

    def lose(self, error: BaseException) -> None:
        """End: the loop has died."""


class PluginLoops:
    """The loops of one plug-in. They stop when this object is gone."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shared: PluginLoop | None = None
        self._spare: list[PluginLoop] = []  # those without a job
        self._all: list[PluginLoop] = []
        weakref.finalize(self, _stop, self._all).atexit = False

    async def begin(self, job: LoopJob) -> None:
        """Begin a job in the shared loop, or in a spare one if the shared loop is blocked.

        A blocked loop is offered each job too. The first loop that answers runs it, so a loop that is free again
        gets the next jobs.
        """
        if self._shared is None or self._shared.dead:
            self._shared = self._made()
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
                    "The plug-in %s has blocked its event loop for %g s, %s. Jobs that run in it wait; new ones begin"
                    " in other loops. Call what blocks with asyncio.to_thread.",
                    self._name,
                    BLOCKED_SECONDS,
                    shared.place(),
                )
        spare = self._spare.pop() if self._spare else self._made()
        spare.offer(job, done=lambda: self._spare.append(spare))

    def _made(self) -> PluginLoop:
        self._all[:] = [loop for loop in self._all if not loop.dead]
        loop = PluginLoop(self._name)
        self._all.append(loop)
        return loop


class PluginLoop:
    """An event loop in a daemon thread, which does not keep the server's process alive."""

    def __init__(self, name: str) -> None:
        self.blocked = False  # since a job was not begun in time, until one is
        self.dead = False
        self._name = name
        self._stopping = False
        self._jobs: set[LoopJob] = set()  # that run in it; of its thread
        self._tasks: set[asyncio.Task[None]] = set()  # of these; the loop itself does not hold them
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(DaemonThreadExecutor())
        self._thread = threading.Thread(target=self._run, name=f"bgstream-{name}", daemon=True)
        self._thread.start()

    def offer(self, job: LoopJob, done: Callable[[], None] = lambda: None) -> None:
        """Begin a job if nothing else has begun it; ``done`` is called in the loop's thread when it has ended."""
        try:
            self._loop.call_soon_threadsafe(self._begin, job, done, context=Context())
        except RuntimeError:  # the loop has just died
            self.dead = True

    def stop(self) -> None:
        """Cancel what runs, and end the thread."""
        self._stopping = True
        if not self.dead:
            try:
                self._loop.call_soon_threadsafe(self._loop.stop)
            except RuntimeError:
                self.dead = True

    def place(self) -> str:
        """Return where its thread is now, as ``in function (file:line)``."""
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
                except (SystemExit, KeyboardInterrupt) as error:  # from a task that the plug-in has started itself
                    log.warning("The plug-in %s raised %s in a task.", self._name, type(error).__name__)
            self._cancel_all()
        except BaseException as error:
            log.exception("the event loop of the plug-in %s has died", self._name)
            self.dead = True
            for job in self._jobs:
                job.lose(error)
        finally:
            self.dead = True
            with contextlib.suppress(Exception):  # one that is broken cannot always be closed
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
