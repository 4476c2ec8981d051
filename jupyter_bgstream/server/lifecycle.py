"""Start and stop of the engine in one server, with retries of a failed start."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ..core.errors import BgStreamError, UnavailableError
from ..engine.clock import Clock, SystemClock
from ..engine.engine import Engine
from ..providers.errors import ErrorBuilder
from ..providers.plugins.generator import secrets_of
from .engine_state import Backend

FIRST_RETRY = 1.0  # seconds after a failed start; each pause is twice the one before
LONGEST_RETRY = 30.0  # seconds
OPENING_PATIENCE = 0.2  # seconds that a stop waits for a start under way
RETRIED = "The start is repeated automatically; no restart is needed."

# Background tasks of the application, by name.
BackgroundTasks = Mapping[str, Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)


class Lifecycle:
    """Starts and stops the engine, which is either running or not, never half started."""

    def __init__(
        self,
        backend: Backend,
        *,
        announce: Callable[[], None],  # writes the runtime file
        make_engine: Callable[[], Engine],
        background_tasks: Callable[[Engine], BackgroundTasks],
        retries: bool = True,  # repeat a start that failed for a reason that may pass
        log: logging.Logger | logging.LoggerAdapter[Any] = log,
        clock: Clock | None = None,
    ) -> None:
        self._backend = backend
        self._announce = announce
        self._make_engine = make_engine
        self._background_tasks = background_tasks
        self._retries = retries
        self._log = log
        self._clock = clock or SystemClock()
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = False
        self._reported = ""  # the last logged reason of a failure

    async def start(self) -> None:
        """Start the engine; return after the first attempt."""
        self._starting = asyncio.create_task(self._start())
        await self._backend.settled.wait()

    async def stop(self) -> None:
        """Stop the engine. A second call waits for the first: Jupyter ends the event loop after either."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _start(self) -> None:
        pause = FIRST_RETRY
        while await self._needs_retry(pause):
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY)

    async def _needs_retry(self, pause: float) -> bool:
        # Starts once; returns whether that failed for a reason that may pass.
        engine: Engine | None = None
        self._opening = True
        try:
            self._announce()
            engine = self._make_engine()
            await engine.open()
            if self._stopping is not None:
                raise UnavailableError("The server stops.")
            tasks = self._background_tasks(engine)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit would end Jupyter with its kernels
            if engine is not None:
                await self._close(engine)
            return self._stopping is None and self._report(error, pause)
        finally:
            self._opening = False
        for name, work in tasks.items():
            task = asyncio.create_task(work, name=f"bgstream {name}")
            task.add_done_callback(self._report_end)
            self._tasks.append(task)
        self._backend.open(engine)
        self._log.info("jupyter_bgstream is ready. Store: %s.", engine.store_kind)
        return False

    def _report(self, error: BaseException, pause: float) -> bool:
        # Jupyter and its kernels continue without the engine. Every route reports the reason.
        temporary = self._retries and isinstance(error, UnavailableError)
        reason = f"jupyter_bgstream could not start. {_sentence(error)}"
        self._backend.refuse(
            f"{reason} {RETRIED}" if temporary else reason, retry_after=math.ceil(pause) if temporary else None
        )
        if reason != self._reported:
            self._reported = reason
            expected = isinstance(error, BgStreamError)
            self._log.critical("%s", self._backend.reason, exc_info=None if expected else error)
        return temporary

    def _report_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        name = task.get_name().removeprefix("bgstream ")
        self._backend.warnings.append(f"{name} has stopped: {_sentence(error)} Restart Jupyter to start it again.")
        self._log.critical("%s", self._backend.warnings[-1], exc_info=error)

    async def _stop(self) -> None:
        engine = self._backend.close()
        if self._starting is not None:
            if self._opening:
                # A thread opens the files. If the loop ends before the thread does, the lease is not released.
                await asyncio.wait([self._starting], timeout=OPENING_PATIENCE)
            self._starting.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *filter(None, [self._starting]), return_exceptions=True)
        if engine is not None and await self._close(engine):
            self._log.info("jupyter_bgstream has stopped cleanly.")

    async def _close(self, engine: Engine) -> bool:
        try:
            await engine.close()
        except Exception:
            # Jupyter stops kernels after its extensions, and would not after an exception here.
            self._log.exception("jupyter_bgstream did not stop cleanly; all text that was shown is stored")
            return False
        return True


def _sentence(error: BaseException) -> str:
    if isinstance(error, BgStreamError):
        return error.message
    # Every page shows the text of an unexpected error, and it may quote a key.
    text = ErrorBuilder("jupyter_bgstream", secrets=secrets_of(os.environ)).redacted(f"{type(error).__name__}: {error}")
    return f"Unexpected error: {' '.join(text.split())[:500]}. See the Jupyter server log for details."


def treat_sigint_like_sigterm() -> None:
    """Make SIGINT stop the server cleanly where Jupyter has no handler for it.

    Jupyter handles SIGINT in a terminal only, where it asks for confirmation. Without a terminal, as under JupyterHub's
    LocalProcessSpawner, Python's own handler ends the event loop at once and no extension is stopped.
    """
    stop = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and callable(stop) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
