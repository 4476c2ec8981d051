"""A Responses service for tests: it continues an answer in the background without a connection.

Its routes go into a ScriptedProvider, which is a real HTTP server::

    service = ScriptedResponses({"one": response("Hello, world", hold_after=1)})
    async with ScriptedProvider(routes=service.routes) as provider:
        ...  # a job for the model one, at provider.base_url, in the format responses
        await service.held()
        service.release()

An answer without ``background`` ends with its connection, as at OpenAI.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from jupyter_bgstream.testing.clock import PATIENCE
from jupyter_bgstream.testing.http_connection import Request
from jupyter_bgstream.testing.scripted_provider import Reply
from jupyter_bgstream.testing.scripts import JSON, Hold, Live, Script, Send, event, pieces_of, refusal

Piece = dict[str, Any] | Hold  # an event without its number, or a stop until a release


class Answered:
    """One requested answer."""

    def __init__(self, id: str, request: Request) -> None:
        self.id = id
        self.asked: Any = request.json
        self.background = self.asked.get("background") is True
        self.events: list[dict[str, Any]] = []  # so far, numbered
        self.read_after: list[int] = []  # starting_after of each later stream
        self.looks = 0  # requests without a stream
        self.cancels = 0  # requests to cancel it
        self.streams = True  # False: too old to be streamed; requests without a stream still work
        self.over = False
        self.cancelled = False

    @property
    def response(self) -> dict[str, Any]:
        """Current state of the whole answer."""
        known = next((it["response"] for it in reversed(self.events) if "response" in it), {"id": self.id})
        return known | {"status": "cancelled"} if self.cancelled else known


class ScriptedResponses:
    """Answers in the Responses format. ``scripts``: by model, the events of an answer and holds, see ``response``."""

    def __init__(self, scripts: Mapping[str, Sequence[Piece]]) -> None:
        self.scripts = dict(scripts)
        self.answers: list[Answered] = []  # in the order of their requests
        self.forgotten: set[str] = set()  # ids of answers that are no longer known
        self.cut_after: int | None = None  # events after which each connection ends, without the answer's end
        self._gate = asyncio.Semaphore(0)
        self._holding = 0
        self._changed = asyncio.Event()
        self._playing: set[asyncio.Task[None]] = set()

    @property
    def routes(self) -> dict[str, Reply]:
        """Routes for a ScriptedProvider."""
        return {
            "POST /v1/responses": self._create,
            "POST /v1/responses/*": self._known(self._cancel),
            "GET /v1/responses/*": self._known(self._retrieve),
        }

    def release(self, number: int = 1) -> None:
        """Release that many holds."""
        for _ in range(number):
            self._gate.release()

    async def held(self) -> None:
        """Wait until an answer is at a hold."""
        await self.until(lambda: self._holding > 0, "was no answer at a hold")

    async def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait until a condition holds; raise TimeoutError with the state otherwise."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"In {PATIENCE:g} s there {otherwise}.") from None

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _create(self, request: Request) -> Script:
        script = self.scripts.get(request.model)
        if script is None:
            return _error(404, f"The model {request.model!r} does not exist.", "model_not_found")
        answer = Answered(f"resp_{len(self.answers):04d}", request)
        self.answers.append(answer)
        playing = asyncio.create_task(self._play(answer, script))
        self._playing.add(playing)
        playing.add_done_callback(self._playing.discard)
        return Script(steps=(Live(self._stream(answer, -1)),))

    def _known(self, reply: Callable[[Answered, Request], Script]) -> Callable[[Request], Script]:
        def of_known(request: Request) -> Script:
            name = urlsplit(request.path).path.split("/")[3]
            answer = next((it for it in self.answers if it.id == name and name not in self.forgotten), None)
            if answer is None:
                return _error(404, f"Response with id '{name}' not found.", None)
            return reply(answer, request)

        return of_known

    def _retrieve(self, answer: Answered, request: Request) -> Script:
        query = parse_qs(urlsplit(request.path).query)
        if query.get("stream") != ["true"]:
            answer.looks += 1
            self._notify()
            return Script(headers=JSON, steps=(Send(msgspec.json.encode(answer.response)),))
        if not answer.streams:
            words = "This response can no longer be streamed because it is more than 5 minutes old."
            return _error(400, words, None)
        after = int(query.get("starting_after", ["-1"])[0])
        answer.read_after.append(after)
        self._notify()
        return Script(steps=(Live(self._stream(answer, after)),))

    def _cancel(self, answer: Answered, request: Request) -> Script:
        if not request.path.endswith("/cancel"):
            return _error(404, "There is no such path.", None)
        if not answer.background:
            return _error(400, "Cannot cancel a synchronous response.", None)
        answer.cancels += 1
        answer.cancelled = answer.cancelled or not answer.over
        answer.over = True
        self._notify()
        return Script(headers=JSON, steps=(Send(msgspec.json.encode(answer.response)),))

    async def _play(self, answer: Answered, script: Sequence[Piece]) -> None:
        known = {"id": answer.id, "object": "response", "background": answer.background, "output": []}
        begin: list[Piece] = [
            {"type": "response.created", "response": {"status": "queued" if answer.background else "in_progress"}},
            {"type": "response.in_progress", "response": {"status": "in_progress"}},
        ]
        for piece in [*begin, *script]:
            if isinstance(piece, Hold):
                await self._hold()
                continue
            if answer.over:  # cancelled
                break
            found = piece | {"sequence_number": len(answer.events)}
            if "response" in piece:
                found["response"] = known | piece["response"]
            answer.events.append(found)
            self._notify()
        answer.over = True
        self._notify()

    async def _hold(self) -> None:
        self._holding += 1
        self._notify()
        try:
            await self._gate.acquire()
        finally:
            self._holding -= 1

    async def _stream(self, answer: Answered, after: int) -> AsyncGenerator[bytes, None]:
        sent = 0
        try:
            while True:
                changed = self._changed
                for found in answer.events[after + 1 :]:
                    if sent == self.cut_after:
                        return
                    after, sent = found["sequence_number"], sent + 1
                    yield event(found, found["type"])
                if answer.over:
                    return
                await changed.wait()
        finally:
            answer.over = answer.over or not answer.background


def response(
    text: str | Sequence[str],
    *,
    reasoning: str | Sequence[str] = "",
    hold_after: int | None = None,
    usage: tuple[int, int] = (3, 4),
    status: str = "completed",
    **fields: Any,
) -> list[Piece]:
    """Return the events of a complete answer: a reasoning summary, a message, the end.

    A string is split into words, a sequence has the deltas. After ``hold_after`` deltas the answer waits for a
    release. ``usage`` is (input, output) tokens. ``fields`` are added to the response in the last event.
    """
    thoughts, words = pieces_of(reasoning), pieces_of(text)
    items: list[dict[str, Any]] = []
    events: list[Piece] = []
    deltas = 0

    def add(item: dict[str, Any], kind: str, index: str, pieces: Sequence[str], done: dict[str, Any]) -> None:
        nonlocal deltas
        at = {"item_id": item["id"], "output_index": len(items)}
        events.append({"type": "response.output_item.added", "output_index": len(items), "item": item})
        for piece in pieces:
            if deltas == hold_after:
                events.append(Hold())
            deltas += 1
            events.append({"type": f"response.{kind}.delta", index: 0, "delta": piece} | at)
        events.append({"type": f"response.{kind}.done", index: 0, "text": "".join(pieces)} | at)
        events.append({"type": "response.output_item.done", "output_index": len(items), "item": item | done})
        items.append(item | done)

    if thoughts:
        summary = [{"type": "summary_text", "text": "".join(thoughts)}]
        item = {"id": "rs_1", "type": "reasoning", "summary": []}
        add(item, "reasoning_summary_text", "summary_index", thoughts, {"summary": summary})
    content = [{"type": "output_text", "text": "".join(words), "annotations": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    add(message, "output_text", "content_index", words, {"status": "completed", "content": content})
    if deltas == hold_after:
        events.append(Hold())
    counts = {"input_tokens": usage[0], "output_tokens": usage[1], "total_tokens": sum(usage)}
    end = {"status": status, "output": items, "usage": counts} | fields
    return [*events, {"type": f"response.{status}", "response": end}]


def _error(status: int, message: str, code: str | None) -> Script:
    return refusal(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})
