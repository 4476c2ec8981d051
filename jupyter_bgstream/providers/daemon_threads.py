"""Daemon threads for foreign code: Python does not wait for them at exit, unlike for those of its own pools."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

MAX_THREADS = 256  # concurrent calls of all jobs of a loop: each may wait for a service

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_daemon_thread(function: Callable[[], T], *, seconds: float, name: str) -> T:
    """Call a function, such as one of Jupyter's config, in a daemon thread of its own.

    Returns:
        What the function returns.

    Raises:
        TimeoutError: it took more than ``seconds``. The thread runs on; it does not keep the process alive.
        Exception: what the function raises. Exits and loop-control exceptions become a RuntimeError.

    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()

    def resolve(value: T | None, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((value, error))

    def run() -> None:
        value, error = None, None
        try:
            value = function()
        except BaseException as raised:  # sys.exit() in it must not end anything either
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(resolve, value, error)

    threading.Thread(target=run, name=f"bgstream-{name}", daemon=True).start()
    async with asyncio.timeout(seconds):
        value, error = await outcome
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        raise error
    if error is not None:
        raise RuntimeError(f"it raised {type(error).__name__}") from error
    return value  # type: ignore[return-value]  # without an error the value is set


class DaemonThreadExecutor(ThreadPoolExecutor):
    """Executor for ``asyncio.to_thread`` in a plug-in's loop: its threads do not keep the server's process alive."""

    def __init__(self) -> None:
        super().__init__()  # asyncio accepts no executor of another class; the pool's own threads never start
        self._pending: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._pending_lock = threading.Lock()
        self._threads_running = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function as soon as a thread is free."""
        future: Future[T] = Future()
        with self._pending_lock:
            self._pending.append((future, partial(fn, *args, **kwargs)))
            if self._threads_running < MAX_THREADS:
                self._threads_running += 1
                threading.Thread(target=self._work, name="bgstream-to-thread", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: calls that still run end with the process."""

    def _work(self) -> None:
        while True:
            with self._pending_lock:
                if not self._pending:
                    self._threads_running -= 1
                    return
                future, call = self._pending.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
