"""REST client of the server, see PROTOCOL.md: requests in, values and typed errors out."""

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
from ..core.notices import Mute
from ..core.request_checks import MAX_BODY
from ..core.schemas.batches import AnswerPage, BatchInfo
from ..core.schemas.inbox import Inbox, MuteList
from ..core.schemas.jobs import JobDetail, JobInfo, JobPage, LogPage
from ..core.schemas.server_info import CostList, ErrorResponse, KernelInfo, ModelsInfo
from ..core.schemas.threads import ThreadInfo, ThreadMessages, ThreadPage
from .connect import Connection, connect
from .errors import ServerUnreachableError
from .read_receipts import ReadReceipts
from .request_encoding import as_json, encoding_error

F = TypeVar("F")

Verb = Literal["cancel", "retry", "resume"]  # of a batch

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_BY_STATUS: dict[int, type[RequestError]] = {
    error.status: error for error in (NotFoundError, ConflictError, CursorGoneError, TooLargeError, UnavailableError)
}
_PROXY = (502, 503, 504)  # a proxy answers with these, in HTML, while the server starts
_LONG_POLL = 20.0 + 10.0  # seconds: the server's time limit, and a reserve


class Api:
    """REST client of one process; it connects at the first request, and again when the server has moved.

    Every method raises the errors of ``connect.connect``, and RequestError if the server refuses the request.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self.read_receipts = ReadReceipts(self)

    async def submit(self, request: Mapping[str, Any]) -> JobInfo:
        """Submit a job that has an ``id``, so that a repeated request is the same job."""
        return _decode(await self._send_body("jobs", as_json(request, "The job")), JobInfo)

    async def job(self, job_id: str) -> JobInfo:
        """Return a job."""
        return _decode(await self._send("GET", f"jobs/{_segment(job_id)}"), JobInfo)

    async def detail(self, job_id: str) -> JobDetail:
        """Return a job with its request."""
        return _decode(await self._send("GET", f"jobs/{_segment(job_id)}"), JobDetail)

    async def jobs(self, **query: str | int | None) -> JobPage:
        """Return a page of jobs, newest first."""
        params = {name: value for name, value in query.items() if value is not None}
        return _decode(await self._send("GET", "jobs", params=params), JobPage)

    async def cancel(self, job_id: str) -> JobInfo:
        """Cancel a job; an ended job stays as it is."""
        return _decode(await self._send("POST", f"jobs/{_segment(job_id)}/cancel"), JobInfo)

    async def retry(self, job_id: str) -> JobInfo:
        """Retry an ended job; every further call returns the same new job."""
        return _decode(await self._send("POST", f"jobs/{_segment(job_id)}/retry"), JobInfo)

    async def delete(self, job_id: str) -> None:
        """Cancel and delete a job; a job that does not exist is not an error."""
        with contextlib.suppress(NotFoundError):
            await self._send("DELETE", f"jobs/{_segment(job_id)}")

    async def kernel(self, kernel_id: str) -> KernelInfo:
        """Return a kernel with the path of its notebook."""
        return _decode(await self._send("GET", f"kernels/{_segment(kernel_id)}"), KernelInfo)

    async def mutes(self) -> list[Mute]:
        """Return the muted notebooks and threads."""
        return _decode(await self._send("GET", "mutes"), MuteList).mutes

    async def mute(self, mute: Mute, *, on: bool) -> None:
        """Mute or unmute a notebook or a thread."""
        await self._send("PUT" if on else "DELETE", "mutes", params={mute.kind: mute.name})

    async def read(self, job_ids: Collection[str]) -> None:
        """Mark the notices of jobs as read."""
        unread = _decode(await self._send("GET", "notices", params={"unread": "true"}), Inbox).notices
        if ids := [notice.id for notice in unread if notice.job in job_ids]:
            await self._send("POST", "notices/read", json={"ids": ids})

    async def threads(self, **query: str | int | None) -> ThreadPage:
        """Return a page of threads, the last used first."""
        params = {name: value for name, value in query.items() if value is not None}
        return _decode(await self._send("GET", "threads", params=params), ThreadPage)

    async def thread_messages(self, thread: str) -> ThreadMessages:
        """Return the messages of a thread."""
        return _decode(await self._send("GET", "threads/messages", params={"thread": thread}), ThreadMessages)

    async def fork_thread(self, thread: str, name: str, after: str | None) -> ThreadInfo:
        """Start a thread with the beginning of another thread, up to the job ``after`` or to its end."""
        body = {"thread": thread, "name": name, "after": after}
        return _decode(await self._send_once("POST", "threads/fork", json=body), ThreadInfo)

    async def rename_thread(self, thread: str, name: str) -> ThreadInfo:
        """Rename a thread."""
        body = {"thread": thread, "name": name}
        return _decode(await self._send_once("POST", "threads/rename", json=body), ThreadInfo)

    async def delete_thread(self, thread: str) -> None:
        """Cancel and delete all jobs of a thread."""
        await self._send_once("DELETE", "threads", params={"thread": thread})

    async def batch_json(self, batch_id: str, verb: Verb | None = None) -> dict[str, Any]:
        """Return a batch as JSON, for a page; with ``verb`` cancel, retry or resume it first."""
        return _decode(await self._batch(batch_id, verb), dict[str, Any])

    async def submit_batch(self, body: bytes) -> BatchInfo:
        """Announce a batch, or submit some of its jobs; a repeated request changes nothing."""
        return _decode(await self._send_body("batches", body), BatchInfo)

    async def batch(self, batch_id: str) -> BatchInfo:
        """Return the state of a batch."""
        return _decode(await self._batch(batch_id), BatchInfo)

    async def change_batch(self, batch_id: str, verb: Verb) -> BatchInfo:
        """Cancel the unfinished jobs of a batch, retry those without a complete answer, or resume a paused batch."""
        return _decode(await self._batch(batch_id, verb), BatchInfo)

    async def answers(self, batch_id: str, cursor: str | None) -> AnswerPage:
        """Return a page of the answers of a batch, or of those that changed after a cursor."""
        params = {} if cursor is None else {"cursor": cursor}
        return _decode(
            await self._send("GET", f"batches/{_segment(batch_id, 'batch')}/answers", params=params), AnswerPage
        )

    async def price(self, model: str | None, *, input_tokens: int = 0, output_tokens: int = 0) -> Price:
        """Return the price of a request, and the full name of the model of an alias or of the default.

        Raises:
            InvalidRequestError: unknown model.

        """
        params = {"model": model or "", "input_tokens": input_tokens, "output_tokens": output_tokens}
        return _decode(await self._send("GET", "prices", params=params), Price)

    async def costs(self, **query: str | int | None) -> CostList:
        """Return the summed costs of jobs."""
        params = {name: value for name, value in query.items() if value is not None}
        return _decode(await self._send("GET", "costs", params=params), CostList)

    async def models(self, *, refresh: bool) -> ModelsInfo:
        """Return the available models."""
        return _decode(await self._send("GET", "models", params={"refresh": str(refresh).lower()}), ModelsInfo)

    async def log(self, job_id: str, after: str, *, wait: bool) -> LogPage:
        """Return the events after a cursor; with ``wait`` a page is empty only after 20 seconds without events."""
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
        """Return the file of an image of an answer."""
        path = f"jobs/{_segment(job_id)}/images/{_segment(image_id, 'image')}"
        return (await self._send("GET", path)).content

    async def connect(self) -> None:
        """Connect now; otherwise the first request does."""
        await self._connected()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._drop(self._connection)

    async def _batch(self, batch_id: str, verb: Verb | None = None) -> httpx.Response:
        path = f"batches/{_segment(batch_id, 'batch')}"
        return await (self._send("GET", path) if verb is None else self._send("POST", f"{path}/{verb}"))

    async def _send_body(self, path: str, body: bytes) -> httpx.Response:
        if len(body) > MAX_BODY:  # the server would cut the connection
            sizes = f"{len(body) / 2**20:.1f} MiB; the limit is {MAX_BODY / 2**20:g} MiB"
            raise TooLargeError(f"The request has {sizes}. Send less text, or smaller images.")
        return await self._send("POST", path, content=body, headers={"Content-Type": "application/json"})

    async def _send_once(self, method: str, path: str, **options: Any) -> httpx.Response:
        # A request that must not be repeated is sent on a connection that has just worked.
        await self.threads(limit=1)
        return await self._send(method, path, attempts=1, **options)

    async def _send(self, method: str, path: str, *, attempts: int = 2, **options: Any) -> httpx.Response:
        # Most requests can be repeated: a submit carries its id, a job has one retry and one end.
        problem = ServerUnreachableError("")
        for _ in range(attempts):
            connection = await self._connected()
            try:
                response = await connection.http.request(method, f"api/bgstream/{path}", **options)
            except UnicodeEncodeError as error:
                raise encoding_error(error, "The request") from None
            except httpx.TimeoutException:
                message = f"The Jupyter server at {connection.runtime.url} did not answer in time. Try again."
                raise ServerUnreachableError(message, busy=True) from None
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
    return ServerUnreachableError(f"The Jupyter server at {connection.runtime.url} {what}. Restart it, then try again.")


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        refusal = msgspec.json.decode(response.content, type=ErrorResponse)
    except msgspec.DecodeError:
        if response.status_code in _PROXY:
            raise UnavailableError(
                f"The Jupyter server has not started yet (proxy status {response.status_code}). Try again in a moment."
            ) from None
        raise BgStreamError(f"The Jupyter server answered {response.status_code} without a reason.") from None
    if response.status_code == InvalidRequestError.status:
        raise InvalidRequestError(refusal.message, field=refusal.field, code=refusal.code)
    if response.status_code == QueueFullError.status:
        seconds = response.headers.get("Retry-After", "")
        raise QueueFullError(refusal.message, retry_after=int(seconds) if seconds.isdecimal() else 5)
    raise _BY_STATUS.get(response.status_code, BgStreamError)(refusal.message, code=refusal.code)


def _decode(response: httpx.Response, schema: type[F]) -> F:
    return msgspec.json.decode(response.content, type=schema)


def _segment(id: str, what: str = "job") -> str:
    # An invalid id must not become another path.
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise NotFoundError(f"There is no {what} {str(id)[:70]!r}.")
    return id
