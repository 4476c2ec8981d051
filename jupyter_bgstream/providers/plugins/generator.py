"""Runs a plug-in's async generator as a provider, in the plug-in's event loop, never in the server's.

So code that blocks does not block the server, and resources that it leaks are not the server's.
"""

import asyncio
import contextlib
import logging
import os
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from ...core.events import Citation, Completed, Delta, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Message
from ...core.state import ErrorInfo
from ...plugin import Finish, Reasoning
from ..context_window import RequestSize
from ..errors import ErrorBuilder
from ..formats.chat_messages import chat_message
from ..formats.conversation import conversation
from ..formats.dialects import Dialect
from ..formats.stream_decoder import model_name
from ..port import ProviderEvent, ProviderStatus
from ..provider_settings import IDLE_SECONDS, TOTAL_SECONDS
from ..timeouts import Timeouts
from .event_loops import PluginLoops
from .validation import PluginError, checked, checked_exception, size_of, split_batches, split_delta

Agent = Callable[[list[dict[str, Any]], str, dict[str, Any]], AsyncIterator[Any]]

KIND = "plug-in"
GRACE_SECONDS = 1.0  # for the ``finally`` of a cancelled generator
MAX_UNREAD = 256 * 1024  # characters of events that were not taken yet; beyond that the generator waits
_DIALECT = Dialect(cache_control=True)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.I)

log = logging.getLogger(__name__)


class GeneratorProvider:
    """A Provider whose answers are yielded by an async generator function.

    Its errors have the type and the message of the exception, without keys of the environment.
    """

    def __init__(
        self,
        name: str,
        agent: Agent,
        *,
        environ: Mapping[str, str] = os.environ,
        models: Sequence[str] = (),
        idle_timeout: float = IDLE_SECONDS,
        total_timeout: float = TOTAL_SECONDS,
    ) -> None:
        self.name = name
        self._agent = agent
        self._environ = environ
        self._models = tuple(models)
        self._idle_timeout = idle_timeout
        self._total_timeout = total_timeout
        self._loops = PluginLoops(name)

    def __repr__(self) -> str:
        return f"GeneratorProvider({self.name!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield the generator's events, the last one Completed; raise ProviderError.

        Closing this closes the generator and waits GRACE_SECONDS for its ``finally``.
        """
        reader = _Reader(self.name, self._agent, job)
        idle = job.spec.idle_timeout or self._idle_timeout
        timeouts = Timeouts(ErrorBuilder(self.name), idle=idle, total=self._total_timeout)
        usage: Usage | None = None
        urls: set[str] = set()
        finish = "stop"
        try:
            await self._loops.begin(reader)
            while True:
                events: list[ProviderEvent] = []
                for item in await timeouts.wait(reader.take()):
                    match item:
                        case Usage():
                            usage = item
                        case Finish():
                            finish = item.reason
                        case Citation() if item.url in urls:
                            pass
                        case _:
                            events.append(item)
                            if isinstance(item, Citation):
                                urls.add(item.url)
                for batch in split_batches(events):
                    yield batch
                if reader.ended and not reader.has_items:
                    break
        finally:
            await reader.close()
        if usage is not None:
            yield [usage]
        if reader.error is not None:
            raise checked_exception(reader.error, errors_of(self.name, job, self._environ))
        yield [Completed(at=0.0, finish_reason=finish)]

    async def cancel_response(self, job: Job) -> None:
        """Do nothing: a generator does not run without a reader."""

    async def status(self) -> ProviderStatus:
        """Return the configured models; never raise."""
        return ProviderStatus(name=self.name, kind=KIND, models=tuple(f"{self.name}/{model}" for model in self._models))

    def config_error(self) -> ErrorInfo | None:
        """Return None: only a run can fail."""
        return None


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return values that may be keys: a plug-in reads the same environment, and its errors may echo them."""
    return tuple(value for name, value in environ.items() if len(value) >= 8 and _SECRET.search(name))


def errors_of(provider: str, job: Job, environ: Mapping[str, str]) -> ErrorBuilder:
    """Return the builder of the errors of a job; it is costly, since it holds secrets."""
    return ErrorBuilder(provider, model=model_name(job), secrets=secrets_of(environ), size=RequestSize.of(job))


class _Reader:
    """Runs one generator in a plug-in's loop, and hands its events over in order, with back-pressure."""

    def __init__(self, name: str, agent: Agent, job: Job) -> None:
        self.begun = asyncio.Event()  # of the server's loop
        self.ended = False
        self.error: BaseException | None = None
        self._name = name
        self._agent = agent
        self._job = job
        self._server_loop = asyncio.get_running_loop()
        self._available = asyncio.Event()  # of the server's loop
        self._stopped = asyncio.Event()  # of the server's loop: the generator has finished
        self._lock = threading.Lock()  # for all fields below
        self._items: list[ProviderEvent | Finish] = []
        self._size = 0
        self._plugin_loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None  # of the plug-in's loop, while the generator waits
        self._closed = False

    @property
    def has_items(self) -> bool:
        """Whether there are events that were not taken yet."""
        return bool(self._items)

    async def run(self) -> None:
        """Run the generator in this loop, unless it runs in another loop or was closed."""
        with self._lock:
            if self._closed or self._plugin_loop is not None:
                return
            self._plugin_loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._call(self._server_loop, self.begun.set)
        try:
            await self._read()
        except BaseException as error:  # SystemExit too, which would end the loop of all jobs
            self._end(error)
        else:
            self._end(None)
        finally:
            self._call(self._server_loop, self._stopped.set)

    def lose(self, error: BaseException) -> None:
        """End with an error: the plug-in's loop has died."""
        self._end(RuntimeError(f"Its event loop died: {type(error).__name__}: {error}"))
        self._call(self._server_loop, self._stopped.set)

    async def take(self) -> list[ProviderEvent | Finish]:
        """Wait for events and return them; none once the generator has ended."""
        await self._available.wait()
        with self._lock:
            self._available.clear()
            items, self._items, self._size = self._items, [], 0
            if self._drained is not None and self._plugin_loop is not None:
                self._call(self._plugin_loop, self._drained.set)
            if self.ended:
                self._available.set()
        return items

    async def close(self) -> None:
        """Cancel the generator if it still runs, and wait GRACE_SECONDS; it may run on in its loop after that."""
        with self._lock:
            self._closed = True
            if self._plugin_loop is None:  # it will never start
                return
            if self._task is not None and self._plugin_loop is not None and not self.ended:
                self._call(self._plugin_loop, self._task.cancel)
        # A cancel of this task during the wait changes nothing.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._stopped.wait()
        if not self._stopped.is_set():
            log.warning(
                "The plug-in %s still runs after job %s has ended: it blocks its loop, or ignores its cancellation.",
                self._name,
                self._job.id,
            )

    async def _read(self) -> None:
        # Whether a part can be sent is the plug-in's decision.
        messages = conversation(self._job, ErrorBuilder(self._name), unsupported=lambda part: None)
        stream = self._agent(
            [_message(message) for message in messages], model_name(self._job), dict(self._job.spec.params)
        )
        if not hasattr(stream, "__aiter__"):
            if hasattr(stream, "close"):
                stream.close()
            raise PluginError(f"It returned {type(stream).__name__}, not an async generator; use async def with yield.")
        try:
            async for item in stream:
                if self._closed:
                    return
                await self._put(_events(item))
                await asyncio.sleep(0)  # for the other jobs of the loop, if the generator never waits
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()

    async def _put(self, events: list[ProviderEvent | Finish]) -> None:
        if not events:
            return
        drained = None
        with self._lock:
            first = not self._items
            self._items += events
            self._size += sum(map(size_of, events))
            if self._size > MAX_UNREAD:
                drained = self._drained = asyncio.Event()
            if first:  # one wake-up for all events until they are taken: the server's loop has other tasks
                self._call(self._server_loop, self._available.set)
        if drained is not None:
            await drained.wait()
            self._drained = None

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            if self.ended:
                return
            self.ended, self.error = True, error
            self._call(self._server_loop, self._available.set)

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(function)


def _message(message: Message) -> dict[str, Any]:
    # In the form of Chat Completions, which most libraries accept.
    return chat_message(message, _DIALECT, no_content="")


def _events(item: Any) -> list[ProviderEvent | Finish]:
    match item:
        case str():
            text = str.__str__(item)
            if not text.isascii():  # lone surrogates are replaced
                text = text.encode("utf-8", "replace").decode()
            return [*split_delta(Delta(channel="reasoning" if isinstance(item, Reasoning) else "text", text=text))]
        case Usage() | Citation() | ToolCall() | Finish():
            fresh = checked(item)
            return [fresh if isinstance(fresh, Finish) else msgspec.structs.replace(fresh, seq=0, attempt=0)]
    raise PluginError(
        f"It yielded {type(item).__name__}; use str, or Reasoning, Citation, ToolCall, Usage and Finish of"
        " jupyter_bgstream.plugin."
    )
