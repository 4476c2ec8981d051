"""A provider that remembers everything: which server asked for which job, what went out, and when."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from jupyter_bgstream.testing.http_connection import Request, head_of, hung_up, read_request, reset
from jupyter_bgstream.testing.scripts import DONE, JSON, Script, chunk

HEAD_BYTES = 1024 * 1024
WORDS = ("so ", "weiß ", "naïve ", "日本語 ", "🦉 ", "e\u0301 ", "and ", "then\n", "👩‍🚀 ", "x ")
CLOSING_SECONDS = 1.0  # the kernel closes a killed server's sockets at once; we may be slow to see it

Kind = Literal["answer", "cut", "reset", "refuse"]


@dataclass(frozen=True)
class Manner:
    """How the provider treats one job; the rest comes from the seed."""

    refused: int = 0  # times that the job is sent away first
    status: int = 429
    broken: Kind = "answer"  # how the first answer after that ends
    pace: float = 0.01  # seconds between pieces, on average
    words: int = 30
    torn: bool = False  # pieces are cut anywhere, also inside an event and a character


@dataclass
class Asked:
    """One request for an answer."""

    job: str
    life: str  # of the server that asked
    number: int  # from 1, of this job
    at: float  # Unix seconds, like all times here
    turns: list[tuple[str, str]]  # (role, content) before the prompt
    kind: Kind
    deltas: list[tuple[int, str, str]] = field(default_factory=list)  # (end in the body, channel, text)
    size: int = 0  # of the body, in bytes
    sent: int = 0  # bytes of it that went out
    closed_at: float | None = None

    def text(self, channel: str = "text", *, whole: bool = False) -> str:
        """Return what went out, or would have."""
        upto = self.size if whole else self.sent
        return "".join(text for end, where, text in self.deltas if end <= upto and where == channel)

    def open_at(self, moment: float) -> bool:
        """Whether words of it were still to come then."""
        return self.at <= moment and (self.closed_at is None or self.closed_at > moment)


class Provider:
    """Serves while its ``async with`` lasts. A server's providers are at ``base_url(life)``."""

    def __init__(self, seed: object, tick: Callable[[str], None]) -> None:
        self.manners: dict[str, Manner] = {}
        self.asked: list[Asked] = []
        self.doubled: list[str] = []  # jobs that were asked for twice at a time
        self._seed = seed
        self._tick = tick
        self._connections: set[asyncio.Task[None]] = set()

    def base_url(self, life: str) -> str:
        return f"http://127.0.0.1:{self._port}/{life}/v1"

    async def __aenter__(self) -> Provider:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=HEAD_BYTES)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            request = await read_request(reader)
            await self._converse(request, reader, writer)
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            pass  # a server that was killed while it asked
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._connections.discard(task)

    async def _converse(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = self._note(request)
        doubled = asyncio.create_task(self._look_for_others(asked))
        playing = asyncio.create_task(self._play(asked, writer))
        leaving = asyncio.create_task(hung_up(reader))
        try:
            self._tick("request")
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.closed_at = time.time()
            playing.cancel()
            leaving.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)
            await doubled

    def _note(self, request: Request) -> Asked:
        *before, prompt = [(turn["role"], turn["content"]) for turn in request.json["messages"]]
        job = prompt[1].split()[-1]
        number = 1 + sum(asked.job == job for asked in self.asked)
        manner = self.manners[job]
        kind: Kind = "answer"
        if number <= manner.refused:
            kind = "refuse"
        elif number == manner.refused + 1:
            kind = manner.broken
        life = request.path.split("/")[1]
        asked = Asked(job=job, life=life, number=number, at=time.time(), turns=before, kind=kind)
        self.asked.append(asked)
        return asked

    async def _look_for_others(self, asked: Asked) -> None:
        # An earlier request's socket may have been closed without our having had a turn to see it.
        others = [other for other in self.asked if other is not asked and other.job == asked.job]
        deadline = time.time() + CLOSING_SECONDS
        while any(other.closed_at is None for other in others):
            if time.time() > deadline:
                self.doubled.append(asked.job)
                return
            await asyncio.sleep(0.01)
        if any(other.closed_at is not None and other.closed_at > asked.at + CLOSING_SECONDS for other in others):
            self.doubled.append(asked.job)

    async def _play(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        manner = self.manners[asked.job]
        chance = random.Random(f"{self._seed} {asked.job} {asked.number}")
        if asked.kind == "refuse":
            body = msgspec.json.encode({"error": {"message": "Slow down.", "code": "busy"}})
            headers = JSON | {"Retry-After": "0"}
            writer.write(
                head_of(Script(status=manner.status, headers=headers)) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )
            await writer.drain()
            return
        writer.write(head_of(Script()))
        body = _body(asked, manner, chance)
        last = len(body) if asked.kind == "answer" else chance.randrange(len(body) // 2)
        for start, end in _pieces(asked, body, manner, chance):
            if end > last:
                break
            await asyncio.sleep(chance.uniform(0, 2 * manner.pace))
            asked.sent = end
            writer.write(b"%x\r\n%b\r\n" % (end - start, body[start:end]))
            self._tick("chunk")
            await writer.drain()
        if asked.kind == "answer":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        elif asked.kind == "reset":
            reset(writer)


def _body(asked: Asked, manner: Manner, chance: random.Random) -> bytes:
    words = [
        f"{asked.job}#{asked.number} ",
        *chance.choices(WORDS, k=chance.randint(manner.words // 2, manner.words * 2)),
    ]
    body = b""
    for number, word in enumerate(words):
        thinks = 0 < number < len(words) // 4
        body += chunk({"reasoning_content" if thinks else "content": word})
        asked.deltas.append((len(body), "reasoning" if thinks else "text", word))
    body += chunk(finish_reason="stop")
    body += chunk(usage={"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)})
    body += DONE
    asked.size = len(body)
    return body


def _pieces(asked: Asked, body: bytes, manner: Manner, chance: random.Random) -> Iterator[tuple[int, int]]:
    if manner.torn:
        cuts = sorted(chance.sample(range(1, len(body)), k=2 * len(asked.deltas)))
    else:
        cuts = [end for end, _, _ in asked.deltas]
    return zip([0, *cuts], [*cuts, len(body)], strict=True)
