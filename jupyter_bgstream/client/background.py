"""One event loop on one daemon thread: it serves code that blocks, code that awaits, and any thread."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from ..core.errors import BgStreamError

T = TypeVar("T")


class Closable(Protocol):
    """What lives on the loop and is closed with it."""

    def aclose(self) -> Awaitable[None]: ...


R = TypeVar("R", bound=Closable)

_SLICE = 1.0  # seconds; Windows delivers Ctrl-C only between two waits
# What these say is for the user, who has no use for twenty lines of a loop in another thread. All else keeps them.
_SAID = (BgStreamError, TimeoutError)
_FAREWELL = 2.0  # seconds that the end of the process may take for closing


class Background(Generic[R]):
    """A loop and what works on it, both made at the first call and made anew in a forked child."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._here: tuple[asyncio.AbstractEventLoop, R, threading.Thread] | None = None
        self._of_parents: list[object] = []
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def start(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Begin the work on the loop's thread; cancelling the future stops it there."""
        with self._lock:
            if self._here is None:
                self._here = self._begin()
            loop, resource, _ = self._here
        return asyncio.run_coroutine_threadsafe(work(resource), loop)

    def run(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """Do the work there and wait for it here; an interrupt ends the wait and the work, and is raised."""
        __tracebackhide__ = True  # IPython shows the line that asked, and not how it was asked
        future = self.start(work)
        try:
            while not concurrent.futures.wait((future,), timeout=_SLICE).done:
                pass
        except BaseException:
            future.cancel()
            raise
        try:
            return future.result()
        except _SAID as error:
            raise error.with_traceback(None)  # noqa: B904 - the same error, without the way it came
        except concurrent.futures.CancelledError:
            if not threading.main_thread().is_alive():
                threading.Event().wait()  # the process ends, and with it this daemon thread: there is no news for it
            raise

    async def call(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """Do the work there and await it here, on whichever loop runs."""
        __tracebackhide__ = True
        try:
            return await asyncio.wrap_future(self.start(work))
        except _SAID as error:
            raise error.with_traceback(None)  # noqa: B904 - as above

    def close(self) -> None:
        """Close what works on the loop, and the loop. A later call makes both anew."""
        with self._lock:
            here, self._here = self._here, None
        if here is not None:
            loop, _, thread = here
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_FAREWELL)

    def _begin(self) -> tuple[asyncio.AbstractEventLoop, R, threading.Thread]:
        loop, resource = asyncio.new_event_loop(), self._make()
        thread = threading.Thread(target=_serve, args=(loop, resource), name="bgstream", daemon=True)
        thread.start()
        return loop, resource, thread

    def _after_fork(self) -> None:
        # Only the forking thread lives on here. The loop shares its epoll object with the parent's, so that closing
        # it, or its finaliser, would disturb the parent: it is kept and never touched. The lock may have been held.
        self._of_parents.append(self._here)
        self._here, self._lock = None, threading.Lock()


def _serve(loop: asyncio.AbstractEventLoop, resource: Closable) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(resource.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
