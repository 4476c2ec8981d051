"""REST handlers: notices and mutes of the viewer."""

from typing import Literal

from ..core.codec import decode_request
from ..core.errors import InvalidRequestError
from ..core.notices import Mute
from ..core.schemas.convert import notice_info
from ..core.schemas.inbox import Inbox, MuteList
from .base import ApiHandler, endpoint
from .request_bodies import ReadRequest

MAX_NAME = 1000  # characters of a muted notebook's path or thread's name
MUTED_KINDS: tuple[Literal["notebook"], Literal["thread"]] = ("notebook", "thread")


class MutesHandler(ApiHandler):
    """``mutes``."""

    @endpoint
    async def get(self) -> None:
        """Return the mutes of the viewer."""
        await self._answer_mutes()

    @endpoint
    async def put(self) -> None:
        """Mute a notebook or a thread."""
        await self._set_mute(on=True)

    @endpoint
    async def delete(self) -> None:
        """Unmute a notebook or a thread."""
        await self._set_mute(on=False)

    async def _set_mute(self, *, on: bool) -> None:
        self.check_query(*MUTED_KINDS)
        mutes = [
            Mute(kind=kind, name=name) for kind in MUTED_KINDS for name in self.get_query_arguments(kind, strip=False)
        ]
        if len(mutes) != 1 or not 1 <= len(mutes[0].name) <= MAX_NAME:
            raise InvalidRequestError(
                f"Name one notebook or one thread, as ?notebook=… or ?thread=…, with 1 to {MAX_NAME} characters.",
                field="notebook",
            )
        await self.engine.inbox.mute(self.owner, self.viewer, mutes[0], on=on)
        await self._answer_mutes()

    async def _answer_mutes(self) -> None:
        self.answer(MuteList(mutes=await self.engine.inbox.mutes(self.owner, self.viewer)))


class BaseInboxHandler(ApiHandler):
    """A route that returns the inbox."""

    async def answer_inbox(self, *, unread_only: bool = False) -> None:
        """Finish with the notices of the viewer."""
        notices = await self.engine.inbox.notices(self.owner, self.viewer)
        unread = [notice for notice in notices if notice.read_at is None]
        listed = unread if unread_only else notices
        count = sum(not notice.muted for notice in unread)
        self.answer(Inbox(notices=[notice_info(notice) for notice in listed], unread=count))


class NoticesHandler(BaseInboxHandler):
    """``notices``."""

    @endpoint
    async def get(self) -> None:
        """Return the inbox."""
        await self.answer_inbox(unread_only=self.query_flag("unread"))


class ReadNoticesHandler(BaseInboxHandler):
    """``notices/read``."""

    @endpoint
    async def post(self) -> None:
        """Mark notices as read."""
        request = decode_request(self.request.body, ReadRequest)
        if (request.ids is None) != request.all:
            raise InvalidRequestError("Give either ids (a list) or all: true.", field="ids")
        await self.engine.inbox.read(self.owner, self.viewer, request.ids)
        await self.answer_inbox()


class NoticeHandler(ApiHandler):
    """``notices/{id}``."""

    @endpoint
    async def delete(self, notice_id: str) -> None:
        """Dismiss a notice."""
        await self.engine.inbox.dismiss(self.owner, self.viewer, notice_id)
        self.no_content()


ROUTES = [
    (r"mutes", MutesHandler),
    (r"notices", NoticesHandler),
    (r"notices/read", ReadNoticesHandler),
    (r"notices/([A-Za-z0-9_-]+)", NoticeHandler),
]
