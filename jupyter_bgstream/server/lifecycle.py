"""The life of the engine in one server: its start, the retries of a start that failed, and its stop."""

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
from ..engine.service import Service
from ..providers.errors import Faults
from ..providers.plugins.generator import secrets_of
from .base import Backend

FIRST_RETRY = 1.0  # seconds after a start that failed; each pause is twice as long as the one before
LONGEST_RETRY = 30.0  # seconds
OPENING_PATIENCE = 0.2  # seconds in which an ordinary start under way ends; a longer one is given up at the stop
RETRIED = "The start is repeated automatically; no restart is needed."

# The parts of the application that run beside the engine, by name.
Beside = Mapping[str, Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)


class Lifecycle:
    """Starts the engine and stops it. The engine is up or down, never half started."""

    def __init__(
        self,
        backend: Backend,
        *,
        announce: Callable[[], None],  # writes the runtime file
        make_service: Callable[[], Service],
        run_beside: Callable[[Service], Beside],
        repeats: bool = True,  # a start that failed for a reason that may pass
        log: logging.Logger | logging.LoggerAdapter[Any] = log,
        clock: Clock | None = None,
    ) -> None:
        self._backend = backend
        self._announce = announce
        self._make_service = make_service
        self._run_beside = run_beside
        self._repeats = repeats
        self._log = log
        self._clock = clock or SystemClock()
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[None]] = []
        self._opening = False
        self._reported = ""  # the reason of the last failure that was logged

    async def start(self) -> None:
        """Start the engine; return once the first try has succeeded or failed."""
        self._starting = asyncio.create_task(self._start())
        await self._backend.settled.wait()

    async def stop(self) -> None:
        """Stop the engine. A second call waits for the first: Jupyter ends the loop after either of them."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _start(self) -> None:
        pause = FIRST_RETRY
        while await self._may_pass(pause):
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY)

    async def _may_pass(self, pause: float) -> bool:
        # Try once; return whether it failed for a reason that may pass.
        service: Service | None = None
        self._opening = True
        try:
            self._announce()
            service = self._make_service()
            await service.open()
            if self._stopping is not None:
                raise UnavailableError("The server stops.")
            beside = self._run_beside(service)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit, too, would take Jupyter's kernels with it
            if service is not None:
                await self._close(service)
            return self._stopping is None and self._report(error, pause)
        finally:
            self._opening = False
        for name, work in beside.items():
            task = asyncio.create_task(work, name=f"bgstream {name}")
            task.add_done_callback(self._report_end)
            self._beside.append(task)
        self._backend.open(service)
        self._log.info("jupyter_bgstream is ready: jobs go on in the background, kept in %s.", service.store_kind)
        return False

    def _report(self, error: BaseException, pause: float) -> bool:
        # Jupyter goes on without the engine: its kernels matter more. Every route says why.
        passing = self._repeats and isinstance(error, UnavailableError)
        reason = f"jupyter_bgstream could not start. {_sentence(error)}"
        self._backend.refuse(
            f"{reason} {RETRIED}" if passing else reason, retry_after=math.ceil(pause) if passing else None
        )
        if reason != self._reported:
            self._reported = reason
            expected = isinstance(error, BgStreamError)
            self._log.critical("%s", self._backend.reason, exc_info=None if expected else error)
        return passing

    def _report_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        name = task.get_name().removeprefix("bgstream ")
        self._backend.warnings.append(f"{name} has stopped: {_sentence(error)} Restart Jupyter to have it again.")
        self._log.critical("%s", self._backend.warnings[-1], exc_info=error)

    async def _stop(self) -> None:
        service = self._backend.close()
        if self._starting is not None:
            if self._opening:
                # Files are opened in a thread. If the loop ends before it does, its lease is not given back.
                await asyncio.wait([self._starting], timeout=OPENING_PATIENCE)
            self._starting.cancel()
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, *filter(None, [self._starting]), return_exceptions=True)
        if service is not None and await self._close(service):
            self._log.info("jupyter_bgstream has stopped in good order.")

    async def _close(self, service: Service) -> bool:
        try:
            await service.close()
        except Exception:
            # Jupyter stops kernels after its extensions, and would not if this raised.
            self._log.exception("jupyter_bgstream did not stop in good order; what was shown is stored all the same")
            return False
        return True


def _sentence(error: BaseException) -> str:
    if isinstance(error, BgStreamError):
        return error.message
    # The text of an unexpected error may quote a key, and every page shows it.
    words = Faults("jupyter_bgstream", secrets=secrets_of(os.environ)).redacted(f"{type(error).__name__}: {error}")
    return f"Unexpected error: {' '.join(words.split())[:500]}. The log of the Jupyter server has the details."


def treat_sigint_like_sigterm() -> None:
    """Make SIGINT stop the server in order where Jupyter has no handler for it.

    Jupyter handles SIGINT in a terminal only, where it asks first. Without one, as below JupyterHub's
    LocalProcessSpawner, Python's own handler ends the loop at once and no extension is stopped.
    """
    stop = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and callable(stop) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
