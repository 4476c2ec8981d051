"""REST handlers: threads."""

from contextlib import suppress

from ..core.codec import decode_request
from ..core.errors import InvalidRequestError, NotFoundError
from ..core.schemas.convert import thread_message_info
from ..core.schemas.threads import ThreadMessages, ThreadPage
from .base import ApiHandler, endpoint
from .request_bodies import ForkRequest, RenameRequest

MAX_NAME = 200  # characters of a thread's name


class BaseThreadHandler(ApiHandler):
    """A route of one thread, which the query names."""

    def thread_name(self) -> str:
        """Return the thread that ``?thread=…`` names.

        Raises:
            InvalidRequestError: The query does not name exactly one thread.

        """
        self.check_query("thread")
        names = self.get_query_arguments("thread", strip=False)
        if len(names) != 1 or not 1 <= len(names[0]) <= MAX_NAME:
            raise InvalidRequestError(f"Name one thread of 1 to {MAX_NAME} characters, as ?thread=….", field="thread")
        return names[0]


class ThreadsHandler(BaseThreadHandler):
    """``threads``."""

    @endpoint
    async def get(self) -> None:
        """List threads, the one with the newest job or fork first."""
        self.check_query("thread", "limit", "cursor")
        limit, cursor = self.query_page()
        name = self.get_query_argument("thread", strip=False)
        if name is None:
            threads, following = await self.engine.threads.page(self.owner, limit=limit, after=cursor)
            self.answer(ThreadPage(threads=threads, next=following))
            return
        found = []
        with suppress(NotFoundError):
            found.append(await self.engine.threads.get(self.owner, name))
        self.answer(ThreadPage(threads=found))

    @endpoint
    async def delete(self) -> None:
        """Delete a thread with all its jobs; cancel those that have not ended."""
        await self.engine.threads.delete(self.owner, self.thread_name())
        self.no_content()


class ThreadMessagesHandler(BaseThreadHandler):
    """``threads/messages``."""

    @endpoint
    async def get(self) -> None:
        """Return the messages of a thread."""
        name = self.thread_name()
        turns = await self.engine.threads.messages(self.owner, name)
        messages = [thread_message_info(turn.message, job=turn.job, status=turn.status) for turn in turns]
        self.answer(ThreadMessages(thread=name, messages=messages))


class ForkThreadHandler(ApiHandler):
    """``threads/fork``."""

    @endpoint
    async def post(self) -> None:
        """Start a thread with the messages of another one."""
        request = decode_request(self.request.body, ForkRequest)
        thread = await self.engine.threads.fork(self.owner, request.thread, request.name, after=request.after)
        self.answer(thread, 201)


class RenameThreadHandler(ApiHandler):
    """``threads/rename``."""

    @endpoint
    async def post(self) -> None:
        """Rename a thread."""
        request = decode_request(self.request.body, RenameRequest)
        self.answer(await self.engine.threads.rename(self.owner, request.thread, request.name))


ROUTES = [
    (r"threads", ThreadsHandler),
    (r"threads/messages", ThreadMessagesHandler),
    (r"threads/fork", ForkThreadHandler),
    (r"threads/rename", RenameThreadHandler),
]
