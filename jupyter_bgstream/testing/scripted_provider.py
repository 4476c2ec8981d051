"""A scripted provider for tests: a real HTTP server on this machine.

It speaks Chat Completions (``POST /v1/chat/completions``, ``GET /v1/models``). The name of
the model selects the script, and a test releases a held answer. Every request has its content, the sent text and its
end, so that no test needs to sleep or to guess::

    async with ScriptedProvider({"one": answer("Hello, world", hold_after=1)}) as provider:
        ...  # a job for the model one, at provider.base_url
        await provider.held()
        provider.release()
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Self

import msgspec

from .clock import PATIENCE
from .http_connection import Outcome, Request, head_of, hung_up, read_request, reset
from .scripts import JSON, Cut, Hold, Live, Pause, Repeat, Reset, Script, Send, Step, refusal

HEAD_BYTES = 1024 * 1024


Reply = Script | Callable[[Request], Script]


class ScriptedProvider:
    """Server of scripts for the duration of its ``async with``; ``in_thread`` serves them to synchronous code.

    ``scripts`` (model name to script, or to a function of the request) may be changed at any time. With ``key``, a
    request without it is refused (401). ``listing`` replaces the answer to ``GET /v1/models``. ``routes`` adds other
    formats, by method and path, such as ``POST /v1/messages``; a final ``*`` matches every rest of a path.
    ``tls`` makes it https. With ``keep_alive`` a connection accepts several requests, like most services.
    Every wait takes at most ten seconds and then raises TimeoutError.
    """

    def __init__(
        self,
        scripts: Mapping[str, Reply] | None = None,
        *,
        key: str | None = None,
        listing: Script | None = None,
        routes: Mapping[str, Reply] | None = None,
        tls: ssl.SSLContext | None = None,
        keep_alive: bool = False,
    ) -> None:
        self.scripts: dict[str, Reply] = dict(scripts or {})
        self.key = key
        self.listing = listing
        self.routes: dict[str, Reply] = dict(routes or {})
        self.requests: list[Request] = []  # requests for answers, in order of arrival
        self.connections = 0  # number of opened connections
        self.listings = 0  # number of requests for the list of models
        self.port = 0  # 0 until it serves
        self._tls = tls
        self._keep_alive = keep_alive
        self._gate = asyncio.Semaphore(0)
        self._holding = 0
        self._changed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Base URL for a client; it ends in /v1."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, limit=HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @contextlib.contextmanager
    def in_thread(self) -> Iterator[ThreadedProvider]:
        """Serve in a separate thread for the duration of the ``with``."""
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def serve() -> None:
            async with self:
                stop = asyncio.Event()
                started.set_result((asyncio.get_running_loop(), stop))
                await stop.wait()

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=run, name="scripted-provider", daemon=True)
        thread.start()
        loop, stop = started.result(PATIENCE)
        try:
            yield ThreadedProvider(self, loop)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(PATIENCE)

    def release(self, number: int = 1) -> None:
        """Release that many holds, in the order in which they are reached. Callable from any thread."""
        assert self._loop is not None, "it does not serve yet"
        self._loop.call_soon_threadsafe(self._release, number)

    def asked(self, model: str | None = None, prompt: str | None = None) -> list[Request]:
        """Return the requests for answers so far in their order, of one model or with one prompt if given."""
        return [
            request for request in self.requests if model in (None, request.model) and prompt in (None, request.prompt)
        ]

    async def request(self, number: int = 1) -> Request:
        """Wait for the n-th request for an answer and return it."""
        await self._until(lambda: len(self.requests) >= number, f"there were never {number} requests")
        return self.requests[number - 1]

    async def held(self, number: int = 1) -> None:
        """Wait until that many answers are at a hold at the same time."""
        await self._until(lambda: self._holding >= number, f"there were never {number} answers at a hold")

    async def quiet(self) -> None:
        """Wait until no connection is open."""
        await self._until(lambda: not self._connections, "there was always an open connection")

    async def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        limit = asyncio.timeout(PATIENCE)
        try:
            async with limit:
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"In {PATIENCE:g} s {otherwise}.") from None

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _release(self, number: int) -> None:
        for _ in range(number):
            self._gate.release()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client left before its request, or does not use HTTP; or this server is closing
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._connections.discard(task)
            self._notify()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        following = b""  # the first byte of the next request
        while True:
            request = await read_request(reader, following)
            outcome, following = await self._reply(request, reader, writer)
            if outcome != "whole" or not self._keep_alive:
                return

    async def _reply(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Outcome, bytes]:
        script = self._script(request)
        playing = asyncio.create_task(self._play(script, request, writer))
        leaving = asyncio.create_task(hung_up(reader))
        outcome: Outcome = "server closed"
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            outcome = "client left"
            if playing.done() and playing.exception() is None:
                outcome = playing.result()
        finally:
            playing.cancel()
            leaving.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)
            request.close(outcome)
        return outcome, b"" if leaving.cancelled() else leaving.result()

    def _script(self, request: Request) -> Script:
        method, path = request.method, request.path.partition("?")[0]
        if self.key is not None and self.key not in (
            request.headers.get("authorization", "").removeprefix("Bearer "),
            request.headers.get("x-api-key"),
            request.headers.get("x-goog-api-key"),
        ):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        if (reply := self._route(f"{method} {path}")) is not None:
            self.requests.append(request)
            self._notify()
            return reply if isinstance(reply, Script) else reply(request)
        if (method, path) == ("GET", "/v1/models"):
            self.listings += 1
            return self.listing or self._models()
        if (method, path) != ("POST", "/v1/chat/completions"):
            return _error(404, f"There is no {method} {path} here.", "not_found")
        self.requests.append(request)
        self._notify()
        reply = self.scripts.get(request.model)
        if reply is None:
            return _error(404, f"The model `{request.model}` does not exist.", "model_not_found")
        return reply if isinstance(reply, Script) else reply(request)

    def _route(self, asked: str) -> Reply | None:
        for route, reply in self.routes.items():
            if route == asked or (route.endswith("*") and asked.startswith(route[:-1])):
                return reply
        return None

    def _models(self) -> Script:
        data = [{"id": name, "object": "model", "owned_by": "scripted"} for name in self.scripts]
        return Script(headers=JSON, steps=(Send(msgspec.json.encode({"object": "list", "data": data})),))

    async def _play(self, script: Script, request: Request, writer: asyncio.StreamWriter) -> Outcome:
        head = head_of(script, keep_alive=self._keep_alive)
        for step in _unrolled(script.steps):
            match step:
                case Send(data):
                    await _send(data, request, writer, head)
                    head = b""
                case Live(pieces):
                    async with contextlib.aclosing(pieces):
                        async for data in pieces:
                            await _send(data, request, writer, head)
                            head = b""
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Hold():
                    await self._hold()
                case Cut():
                    return "cut"
                case Reset():
                    reset(writer)
                    return "reset"
        writer.write(head + b"0\r\n\r\n")
        await writer.drain()
        return "whole"

    async def _hold(self) -> None:
        self._holding += 1
        self._notify()
        try:
            await self._gate.acquire()
        finally:
            self._holding -= 1


async def _send(data: bytes, request: Request, writer: asyncio.StreamWriter, head: bytes) -> None:
    request.pieces.append(data)
    writer.write(head + b"%x\r\n%b\r\n" % (len(data), data) if data else head)
    await writer.drain()
    await asyncio.sleep(0)  # so that a client on the same loop receives the pieces separately


class ThreadedProvider:
    """ScriptedProvider that serves in another thread, for synchronous code."""

    def __init__(self, provider: ScriptedProvider, loop: asyncio.AbstractEventLoop) -> None:
        self._provider = provider
        self._loop = loop
        self.base_url = provider.base_url
        self.scripts = provider.scripts
        self.requests = provider.requests
        self.asked = provider.asked
        self.release = provider.release

    def request(self, number: int = 1) -> Request:
        """Wait for the n-th request for an answer and return it."""
        return asyncio.run_coroutine_threadsafe(self._provider.request(number), self._loop).result()

    def held(self, number: int = 1) -> None:
        """Wait until that many answers are at a hold at the same time."""
        asyncio.run_coroutine_threadsafe(self._provider.held(number), self._loop).result()

    def quiet(self) -> None:
        """Wait until no connection is open."""
        asyncio.run_coroutine_threadsafe(self._provider.quiet(), self._loop).result()


def in_turn(*replies: Reply) -> Callable[[Request], Script]:
    """Return a reply that changes: the n-th request with the same prompt gets the n-th script, or the last."""
    tries: Counter[str] = Counter()

    def reply(request: Request) -> Script:
        chosen = replies[min(tries[request.prompt], len(replies) - 1)]
        tries[request.prompt] += 1
        return chosen if isinstance(chosen, Script) else chosen(request)

    return reply


def _unrolled(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, Repeat):
            for _ in itertools.count() if step.times is None else range(step.times):
                yield from _unrolled(step.steps)
        else:
            yield step


def _error(status: int, message: str, code: str) -> Script:
    return refusal(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})
