"""The threads that a plug-in's loop gives to ``asyncio.to_thread``: none keeps the server's process alive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

AT_A_TIME = 256  # calls of all jobs of a loop: each may wait for a service

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreadExecutor(ThreadPoolExecutor):
    """Calls functions in daemon threads, which Python does not wait for at its end, unlike those of its own pools."""

    def __init__(self) -> None:
        super().__init__()  # asyncio takes no executor of another class; its threads are never begun
        self._todo: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._taking = threading.Lock()
        self._working = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function as soon as a thread is free."""
        future: Future[T] = Future()
        with self._taking:
            self._todo.append((future, partial(fn, *args, **kwargs)))
            if self._working < AT_A_TIME:
                self._working += 1
                threading.Thread(target=self._work, name="bgstream-to-thread", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nothing."""

    def _work(self) -> None:
        while True:
            with self._taking:
                if not self._todo:
                    self._working -= 1
                    return
                future, call = self._todo.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
