"""A plug-in's async generator as a provider: its jobs run in the plug-in's event loop, never in the server's.

So what blocks in it does not block the server, and what it forgets to clean up is not ours.
"""

from __future__ import annotations

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
from ..base import ProviderEvent, ProviderStatus
from ..context_window import RequestSize
from ..endpoint import IDLE_SECONDS, TOTAL_SECONDS
from ..errors import ErrorBuilder
from ..formats.base import model_name
from ..formats.chat_messages import chat_message
from ..formats.conversation import conversation
from ..formats.dialects import Dialect
from .loops import PluginLoops
from .validation import PluginError, batches, checked, checked_failure, pieces, size_of

Agent = Callable[[list[dict[str, Any]], str, dict[str, Any]], AsyncIterator[Any]]

KIND = "plug-in"
GRACE_SECONDS = 1.0  # that a cancelled generator has for its ``finally``
WAITING = 256 * 1024  # characters that nobody has taken yet; then the generator waits
_DIALECT = Dialect(cache_control=True)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.I)

log = logging.getLogger(__name__)


class GeneratorProvider:
    """A Provider whose answers are what an async generator function yields.

    Its errors are the type and the words of the exception, without what the environment holds of keys.
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
        return f"GeneratorService({self.name!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield what the generator says; the last event is Completed. Raises ProviderError.

        Closing this closes the generator: its ``finally`` runs, and is waited for GRACE_SECONDS.
        """
        reader = _Reader(self.name, self._agent, job)
        clock = asyncio.get_running_loop().time
        end = clock() + self._total_timeout
        patience = job.spec.idle_timeout or self._idle_timeout
        usage: Usage | None = None
        urls: set[str] = set()
        finish = "stop"
        try:
            await self._loops.begin(reader)
            while True:
                silence = clock() + patience
                try:
                    async with asyncio.timeout_at(min(silence, end)):
                        items = await reader.take()
                except TimeoutError:
                    if silence < end:
                        raise ErrorBuilder(self.name).error("idle_timeout", seconds=patience) from None
                    raise ErrorBuilder(self.name).error("total_timeout", seconds=self._total_timeout) from None
                said: list[ProviderEvent] = []
                for item in items:
                    match item:
                        case Usage():
                            usage = item
                        case Finish():
                            finish = item.reason
                        case Citation() if item.url in urls:
                            pass
                        case _:
                            said.append(item)
                            if isinstance(item, Citation):
                                urls.add(item.url)
                for batch in batches(said):
                    yield batch
                if reader.ended and not reader.left:
                    break
        finally:
            await reader.close()
        if usage is not None:
            yield [usage]
        if reader.error is not None:
            # Here and not before: what finds secrets in words is dear to make.
            raise checked_failure(
                reader.error,
                ErrorBuilder(
                    self.name, model=model_name(job), secrets=secrets_of(self._environ), size=RequestSize.of(job)
                ),
            )
        yield [Completed(at=0.0, finish_reason=finish)]

    async def cancel_response(self, job: Job) -> None:
        """Do nothing: nobody goes on with an answer that nobody reads."""

    async def status(self) -> ProviderStatus:
        """Return its models, as far as somebody has named them; never raises."""
        return ProviderStatus(name=self.name, kind=KIND, models=tuple(f"{self.name}/{model}" for model in self._models))

    def config_error(self) -> ErrorInfo | None:
        """Return None: only running it tells."""
        return None


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what may be keys: a plug-in was given none, but finds them where we do, and its errors may echo them."""
    return tuple(value for name, value in environ.items() if len(value) >= 8 and _SECRET.search(name))


class _Reader:
    """Runs one generator in a plug-in's loop and hands over what it yields, in order, with a bound on what waits."""

    def __init__(self, name: str, agent: Agent, job: Job) -> None:
        self.begun = asyncio.Event()  # of the server's loop
        self.ended = False
        self.error: BaseException | None = None
        self._name = name
        self._agent = agent
        self._job = job
        self._here = asyncio.get_running_loop()
        self._came = asyncio.Event()  # of the server's loop
        self._stopped = asyncio.Event()  # of the server's loop: the generator is done
        self._lock = threading.Lock()  # of all that follows
        self._items: list[ProviderEvent | Finish] = []
        self._size = 0
        self._there: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None  # of the generator's loop, while it waits
        self._closed = False

    @property
    def left(self) -> bool:
        """Whether something was yielded that nobody has taken."""
        return bool(self._items)

    async def run(self) -> None:
        """Run the generator in this loop, unless it has begun in another one or was closed."""
        with self._lock:
            if self._closed or self._there is not None:
                return
            self._there, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._call(self._here, self.begun.set)
        try:
            await self._read()
        except BaseException as error:  # SystemExit too, which would go through the loop of all jobs
            self._end(error)
        else:
            self._end(None)
        finally:
            self._call(self._here, self._stopped.set)

    def lose(self, error: BaseException) -> None:
        """End with an error: the plug-in's loop has died."""
        self._end(RuntimeError(f"Its event loop has died: {type(error).__name__}: {error}"))
        self._call(self._here, self._stopped.set)

    async def take(self) -> list[ProviderEvent | Finish]:
        """Return what there is, waiting for it; nothing once it has ended."""
        await self._came.wait()
        with self._lock:
            self._came.clear()
            items, self._items, self._size = self._items, [], 0
            if self._room is not None and self._there is not None:
                self._call(self._there, self._room.set)
            if self.ended:
                self._came.set()
        return items

    async def close(self) -> None:
        """Cancel the generator if it still runs, and wait a little for it; it may go on in its loop after that."""
        with self._lock:
            self._closed = True
            if self._there is None:  # and so it will never begin
                return
            if self._task is not None and self._there is not None and not self.ended:
                self._call(self._there, self._task.cancel)
        # Being cancelled while we wait for somebody who is being cancelled changes nothing.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._stopped.wait()
        if not self._stopped.is_set():
            log.warning(
                "The plug-in %s goes on after job %s has ended: it blocks its loop, or ignores that it was cancelled.",
                self._name,
                self._job.id,
            )

    async def _read(self) -> None:
        # Whether a part can be sent is the plug-in's to say: it knows its service.
        messages = conversation(self._job, ErrorBuilder(self._name), lacks=lambda part: None)
        stream = self._agent(
            [_turn(message) for message in messages], model_name(self._job), dict(self._job.spec.params)
        )
        if not hasattr(stream, "__aiter__"):
            if hasattr(stream, "close"):
                stream.close()
            raise PluginError(
                f"It returned {type(stream).__name__}, not an async generator: write async def and yield."
            )
        try:
            async for item in stream:
                if self._closed:
                    return
                await self._put(_said(item))
                await asyncio.sleep(0)  # one that never waits itself leaves room to the other jobs of its loop
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()

    async def _put(self, said: list[ProviderEvent | Finish]) -> None:
        if not said:
            return
        room = None
        with self._lock:
            first = not self._items
            self._items += said
            self._size += sum(map(size_of, said))
            if self._size > WAITING:
                room = self._room = asyncio.Event()
            if first:  # once for all that comes before they are taken: the server's loop has others to serve
                self._call(self._here, self._came.set)
        if room is not None:
            await room.wait()
            self._room = None

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            if self.ended:
                return
            self.ended, self.error = True, error
            self._call(self._here, self._came.set)

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
        with contextlib.suppress(RuntimeError):  # that loop has closed
            loop.call_soon_threadsafe(function)


def _turn(message: Message) -> dict[str, Any]:
    # As Chat Completions has them: what most libraries take.
    return chat_message(message, _DIALECT, no_content="")


def _said(item: Any) -> list[ProviderEvent | Finish]:
    match item:
        case str():
            text = str.__str__(item)
            if not text.isascii():  # half a surrogate pair is no text
                text = text.encode("utf-8", "replace").decode()
            return [*pieces(Delta(channel="reasoning" if isinstance(item, Reasoning) else "text", text=text))]
        case Usage() | Citation() | ToolCall() | Finish():
            fresh = checked(item)
            return [fresh if isinstance(fresh, Finish) else msgspec.structs.replace(fresh, seq=0, attempt=0)]
    raise PluginError(
        f"It yielded {type(item).__name__}; it may yield str, or Reasoning, Citation, ToolCall, Usage and Finish of"
        " jupyter_bgstream.plugin."
    )
