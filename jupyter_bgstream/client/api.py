"""The server's verbs, as PROTOCOL.md has them: requests in, values and typed errors out."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar

import httpx
import msgspec

from ..core.costs import Price
from ..core.errors import (
    BgStreamError,
    ConflictError,
    CursorGoneError,
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    RequestError,
    TooLargeError,
    UnavailableError,
)
from ..core.events import Event
from ..core.limits import MAX_BODY
from ..core.schemas import (
    AnswerPage,
    BatchInfo,
    CostList,
    ErrorResponse,
    Inbox,
    JobDetail,
    JobInfo,
    JobPage,
    KernelInfo,
    LogPage,
    ModelsInfo,
    Mute,
    MuteList,
    ThreadInfo,
    ThreadMessages,
    ThreadPage,
)
from .connect import Connection, connect
from .errors import ServerUnreachableError
from .read_receipts import ReadReceipts
from .serialization import as_json, no_json

F = TypeVar("F")

Verb = Literal["cancel", "retry", "resume"]  # of a group

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_BY_STATUS: dict[int, type[RequestError]] = {
    error.status: error for error in (NotFoundError, ConflictError, CursorGoneError, TooLargeError, UnavailableError)
}
_PROXY = (502, 503, 504)  # what stands before a server says these in HTML while the server starts
_LONG_POLL = 20.0 + 10.0  # seconds: the server's patience and some of ours


class Api:
    """One process's way to its server. It connects at the first request, and again when the server has moved.

    Every method raises what ``connect`` raises, and RequestError for what the server refuses.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self.reading = ReadReceipts(self)

    async def submit(self, request: Mapping[str, Any]) -> JobInfo:
        """Send a job that has its ``id``, so that sending it again is the same job."""
        return _decode(await self._send_body("jobs", as_json(request, "The job")), JobInfo)

    async def job(self, job_id: str) -> JobInfo:
        """Look up one job."""
        return _decode(await self._send("GET", f"jobs/{_segment(job_id)}"), JobInfo)

    async def detail(self, job_id: str) -> JobDetail:
        """Look up one job with what it was asked."""
        return _decode(await self._send("GET", f"jobs/{_segment(job_id)}"), JobDetail)

    async def jobs(self, **query: str | int | None) -> JobPage:
        """List jobs, newest first."""
        params = {name: value for name, value in query.items() if value is not None}
        return _decode(await self._send("GET", "jobs", params=params), JobPage)

    async def cancel(self, job_id: str) -> JobInfo:
        """Stop a job; one that has ended stays as it is."""
        return _decode(await self._send("POST", f"jobs/{_segment(job_id)}/cancel"), JobInfo)

    async def retry(self, job_id: str) -> JobInfo:
        """Ask an ended job again; every further call answers the same new job."""
        return _decode(await self._send("POST", f"jobs/{_segment(job_id)}/retry"), JobInfo)

    async def delete(self, job_id: str) -> None:
        """Stop a job and forget it; one that is gone already is no error."""
        with contextlib.suppress(NotFoundError):
            await self._send("DELETE", f"jobs/{_segment(job_id)}")

    async def kernel(self, kernel_id: str) -> KernelInfo:
        """Ask where a kernel's notebook is."""
        return _decode(await self._send("GET", f"kernels/{_segment(kernel_id)}"), KernelInfo)

    async def mutes(self) -> list[Mute]:
        """Ask what is muted."""
        return _decode(await self._send("GET", "mutes"), MuteList).mutes

    async def mute(self, mute: Mute, *, on: bool) -> None:
        """Mute a notebook or a thread, or call again for it."""
        await self._send("PUT" if on else "DELETE", "mutes", params={mute.kind: mute.name})

    async def read(self, job_ids: Collection[str]) -> None:
        """Mark the notices of jobs read, where they have any."""
        unread = _decode(await self._send("GET", "notices", params={"unread": "true"}), Inbox).notices
        if ids := [notice.id for notice in unread if notice.job in job_ids]:
            await self._send("POST", "notices/read", json={"ids": ids})

    async def threads(self, **query: str | int | None) -> ThreadPage:
        """List conversations, the one that was last used first."""
        params = {name: value for name, value in query.items() if value is not None}
        return _decode(await self._send("GET", "threads", params=params), ThreadPage)

    async def thread_messages(self, thread: str) -> ThreadMessages:
        """Read a conversation."""
        return _decode(await self._send("GET", "threads/messages", params={"thread": thread}), ThreadMessages)

    async def fork_thread(self, thread: str, name: str, after: str | None) -> ThreadInfo:
        """Begin a conversation with a part of another."""
        asked = {"thread": thread, "name": name, "after": after}
        return _decode(await self._send_once("POST", "threads/fork", json=asked), ThreadInfo)

    async def rename_thread(self, thread: str, name: str) -> ThreadInfo:
        """Call a conversation by another name."""
        asked = {"thread": thread, "name": name}
        return _decode(await self._send_once("POST", "threads/rename", json=asked), ThreadInfo)

    async def delete_thread(self, thread: str) -> None:
        """Stop and forget all jobs of a conversation."""
        await self._send_once("DELETE", "threads", params={"thread": thread})

    async def batch_json(self, group_id: str, verb: Verb | None = None) -> dict[str, Any]:
        """Read a group as the server writes it, for a page; or cancel, retry or resume it first."""
        return _decode(await self._group(group_id, verb), dict[str, Any])

    async def submit_group(self, body: bytes) -> BatchInfo:
        """Announce a group, or some more of its jobs, as JSON; sending it again is no harm."""
        return _decode(await self._send_body("groups", body), BatchInfo)

    async def group(self, group_id: str) -> BatchInfo:
        """Ask how far a group is."""
        return _decode(await self._group(group_id), BatchInfo)

    async def change_group(self, group_id: str, verb: Verb) -> BatchInfo:
        """Stop what has not ended of a group, ask again what has no whole answer, or let a paused one go on."""
        return _decode(await self._group(group_id, verb), BatchInfo)

    async def answers(self, group_id: str, after: str | None) -> AnswerPage:
        """Read a page of a group's answers, or of what has changed of them."""
        params = {} if after is None else {"after": after}
        return _decode(
            await self._send("GET", f"groups/{_segment(group_id, 'group')}/answers", params=params), AnswerPage
        )

    async def price(self, model: str | None, *, input_tokens: int = 0, output_tokens: int = 0) -> Price:
        """Ask what a request would cost, and which model a name or none stands for; raises InvalidRequestError."""
        params = {"model": model or "", "input_tokens": input_tokens, "output_tokens": output_tokens}
        return _decode(await self._send("GET", "prices", params=params), Price)

    async def costs(self, **query: str | int | None) -> CostList:
        """Add up what jobs cost."""
        params = {name: value for name, value in query.items() if value is not None}
        return _decode(await self._send("GET", "costs", params=params), CostList)

    async def models(self, *, refresh: bool) -> ModelsInfo:
        """Ask what can be asked."""
        return _decode(await self._send("GET", "models", params={"refresh": str(refresh).lower()}), ModelsInfo)

    async def log(self, job_id: str, after: str, *, wait: bool) -> LogPage:
        """Read events after a cursor. With ``wait``, an empty page comes only after 20 seconds without any."""
        params = {"offset": after, "live": "long-poll"} if wait else {"offset": after}
        path = f"jobs/{_segment(job_id)}/events"
        response = await self._send("GET", path, params=params, timeout=_LONG_POLL)
        return LogPage(
            events=msgspec.json.decode(response.content or b"[]", type=list[Event]),
            cursor=response.headers["Stream-Next-Offset"],
            up_to_date="Stream-Up-To-Date" in response.headers,
            closed="Stream-Closed" in response.headers,
        )

    async def image(self, job_id: str, image_id: str) -> bytes:
        """Read the file of a picture in an answer."""
        path = f"jobs/{_segment(job_id)}/images/{_segment(image_id, 'picture')}"
        return (await self._send("GET", path)).content

    async def connect(self) -> None:
        """Connect now; otherwise the first request does."""
        await self._connected()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._drop(self._connection)

    async def _group(self, group_id: str, verb: Verb | None = None) -> httpx.Response:
        path = f"groups/{_segment(group_id, 'group')}"
        return await (self._send("GET", path) if verb is None else self._send("POST", f"{path}/{verb}"))

    async def _send_body(self, path: str, body: bytes) -> httpx.Response:
        if len(body) > MAX_BODY:  # the server would cut the connection
            sizes = f"{len(body) / 2**20:.1f} MiB; the server takes {MAX_BODY / 2**20:g} MiB at a time"
            raise TooLargeError(f"What is asked has {sizes}: send less text, or smaller images.")
        return await self._send("POST", path, content=body, headers={"Content-Type": "application/json"})

    async def _send_once(self, method: str, path: str, **how: Any) -> httpx.Response:
        # What must not be done twice goes out on a connection that has just been seen to work.
        await self.threads(limit=1)
        return await self._send(method, path, tries=1, **how)

    async def _send(self, method: str, path: str, *, tries: int = 2, **how: Any) -> httpx.Response:
        # Most verbs may be sent twice: a submit carries its id, a job is retried once, and cancelled once.
        problem = ServerUnreachableError("")
        for _ in range(tries):
            connection = await self._connected()
            try:
                response = await connection.http.request(method, f"api/bgstream/{path}", **how)
            except UnicodeEncodeError as error:
                raise no_json(error, "What was asked") from None
            except httpx.TimeoutException:
                what = f"The Jupyter server at {connection.runtime.url} is too busy to answer: try again."
                raise ServerUnreachableError(what, busy=True) from None
            except httpx.TransportError as error:
                problem = _lost(connection, f"broke the connection ({type(error).__name__})")
            else:
                if response.status_code not in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
                    return _accepted(response)
                problem = _lost(connection, "does not accept this process's token")
            await self._drop(connection)
        raise problem

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._connection is None:
                self._connection = await connect()
            return self._connection

    async def _drop(self, connection: Connection | None) -> None:
        # Another request may have connected anew in the meantime.
        if connection is not None and self._connection is connection:
            self._connection = None
            await connection.http.aclose()


def _lost(connection: Connection, what: str) -> ServerUnreachableError:
    return ServerUnreachableError(f"The Jupyter server at {connection.runtime.url} {what}: restart it, then try again.")


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        refusal = msgspec.json.decode(response.content, type=ErrorResponse)
    except msgspec.DecodeError:
        if response.status_code in _PROXY:
            raise UnavailableError(
                f"The Jupyter server is not there yet (its proxy says {response.status_code}): try again in a moment."
            ) from None
        raise BgStreamError(f"The Jupyter server answered {response.status_code} without saying why.") from None
    if response.status_code == InvalidRequestError.status:
        raise InvalidRequestError(refusal.message, field=refusal.field, code=refusal.code)
    if response.status_code == QueueFullError.status:
        asked = response.headers.get("Retry-After", "")
        raise QueueFullError(refusal.message, retry_after=int(asked) if asked.isdecimal() else 5)
    raise _BY_STATUS.get(response.status_code, BgStreamError)(refusal.message, code=refusal.code)


def _decode(response: httpx.Response, schema: type[F]) -> F:
    return msgspec.json.decode(response.content, type=schema)


def _segment(id: str, what: str = "job") -> str:
    # What is no id must not become another path.
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise NotFoundError(f"There is no {what} {str(id)[:70]!r}.")
    return id
