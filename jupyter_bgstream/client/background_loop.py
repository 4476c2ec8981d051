"""Event loop in a daemon thread, for blocking and for async callers in any thread."""

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
    """Resource that lives on the loop and is closed with it."""

    def aclose(self) -> Awaitable[None]: ...


R = TypeVar("R", bound=Closable)

_SLICE = 1.0  # seconds; Windows delivers Ctrl-C only between two waits
# Errors for users are raised without the twenty traceback lines of the loop's thread. Other errors keep them.
_USER_ERRORS = (BgStreamError, TimeoutError)
_CLOSE_TIMEOUT = 2.0  # seconds that closing may delay the end of the process


class Background(Generic[R]):
    """Event loop and a resource on it, both created at the first call, and again in a forked child."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._here: tuple[asyncio.AbstractEventLoop, R, threading.Thread] | None = None
        self._of_parents: list[object] = []
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def start(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Start work on the loop; cancelling the future cancels the work."""
        with self._lock:
            if self._here is None:
                self._here = self._begin()
            loop, resource, _ = self._here
        return asyncio.run_coroutine_threadsafe(work(resource), loop)

    def run(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """Run work on the loop and wait for its result; an interrupt cancels the work and is raised."""
        __tracebackhide__ = True  # IPython shows the caller's line only
        future = self.start(work)
        try:
            while not concurrent.futures.wait((future,), timeout=_SLICE).done:
                pass
        except BaseException:
            future.cancel()
            raise
        try:
            return future.result()
        except _USER_ERRORS as error:
            raise error.with_traceback(None)  # noqa: B904 - the same error without its traceback
        except concurrent.futures.CancelledError:
            if not threading.main_thread().is_alive():
                threading.Event().wait()  # the process ends, and this daemon thread with it
            raise

    async def call(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """Run work on the loop and await its result, from any other loop."""
        __tracebackhide__ = True
        try:
            return await asyncio.wrap_future(self.start(work))
        except _USER_ERRORS as error:
            raise error.with_traceback(None)  # noqa: B904 - as above

    def close(self) -> None:
        """Close the resource and the loop; a later call creates both again."""
        with self._lock:
            here, self._here = self._here, None
        if here is not None:
            loop, _, thread = here
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_CLOSE_TIMEOUT)

    def _begin(self) -> tuple[asyncio.AbstractEventLoop, R, threading.Thread]:
        loop, resource = asyncio.new_event_loop(), self._make()
        thread = threading.Thread(target=_serve, args=(loop, resource), name="bgstream", daemon=True)
        thread.start()
        return loop, resource, thread

    def _after_fork(self) -> None:
        # Only the forking thread exists in the child. The loop shares its epoll object with the parent, so that closing
        # it, also by its finalizer, would disturb the parent: it is kept and never used. The lock may be locked.
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
