"""REST: threads. See PROTOCOL.md."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..core.codec import decode_request
from ..core.errors import InvalidRequestError, NotFoundError
from ..core.schemas import ThreadMessages, ThreadPage
from ..core.schemas.convert import thread_info, thread_message_info
from .base import ApiHandler, endpoint
from .listing import page_of
from .requests import ForkRequest, RenameRequest

MAX_NAME = 200  # characters of a thread's name


class BaseThreadHandler(ApiHandler):
    """What the routes about one thread need."""

    def named(self) -> str:
        """Return the thread that ``?thread=…`` names; raises InvalidRequestError."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"thread", "token"}), None):
            raise InvalidRequestError(f"There is nothing named {unknown!r} to say here: say ?thread=….", field=unknown)
        names = self.get_query_arguments("thread", strip=False)
        if len(names) != 1 or not 1 <= len(names[0]) <= MAX_NAME:
            raise InvalidRequestError(
                f"Name one thread, as ?thread=…, in at most {MAX_NAME} characters.", field="thread"
            )
        return names[0]


class ThreadsHandler(BaseThreadHandler):
    """``threads``."""

    @endpoint
    async def get(self) -> None:
        """List threads."""
        given: dict[str, Any] = {
            name: self.get_query_argument(name, strip=False) for name in self.request.query_arguments
        }
        only = given.pop("thread", None)
        limit, after = page_of(given)
        if only is not None:
            found = []
            with suppress(NotFoundError):
                found.append(thread_info(await self.service.threads.thread(self.owner, only)))
            self.answer(ThreadPage(threads=found))
            return
        threads, following = await self.service.threads.page(self.owner, limit=limit, after=after)
        self.answer(ThreadPage(threads=list(map(thread_info, threads)), next=following))

    @endpoint
    async def delete(self) -> None:
        """Cancel and forget all jobs of a thread."""
        await self.service.threads.delete(self.owner, self.named())
        self.set_status(204)
        self.finish()


class ThreadMessagesHandler(BaseThreadHandler):
    """``threads/messages``."""

    @endpoint
    async def get(self) -> None:
        """Return what was said in a thread."""
        name = self.named()
        said = await self.service.threads.messages(self.owner, name)
        messages = [thread_message_info(each.message, job=each.job, status=each.status) for each in said]
        self.answer(ThreadMessages(thread=name, messages=messages))


class ForkThreadHandler(ApiHandler):
    """``threads/fork``."""

    @endpoint
    async def post(self) -> None:
        """Begin a thread with what was said in another."""
        asked = decode_request(self.request.body, ForkRequest)
        thread = await self.service.threads.fork(self.owner, asked.thread, asked.name, after=asked.after)
        self.answer(thread_info(thread), 201)


class RenameThreadHandler(ApiHandler):
    """``threads/rename``."""

    @endpoint
    async def post(self) -> None:
        """Call a thread by another name."""
        asked = decode_request(self.request.body, RenameRequest)
        self.answer(thread_info(await self.service.threads.rename(self.owner, asked.thread, asked.name)))


ROUTES = [
    (r"threads", ThreadsHandler),
    (r"threads/messages", ThreadMessagesHandler),
    (r"threads/fork", ForkThreadHandler),
    (r"threads/rename", RenameThreadHandler),
]
