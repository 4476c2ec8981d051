"""What a viewer is called for, over REST: notices and mutes."""

from __future__ import annotations

from typing import Literal

from ..core.codec import decode_request
from ..core.errors import InvalidRequestError
from ..core.notices import Mute
from ..core.schemas import Inbox, MuteList
from ..core.schemas.convert import notice_info
from .base import ApiHandler, endpoint
from .requests import ReadRequest

MAX_NAME = 1000  # characters of what is muted
MUTED_KINDS: tuple[Literal["notebook"], Literal["thread"]] = ("notebook", "thread")


class MutesHandler(ApiHandler):
    """``mutes``."""

    @endpoint
    async def get(self) -> None:
        """Return what the viewer has muted."""
        await self._answer_mutes()

    @endpoint
    async def put(self) -> None:
        """Mute a notebook or a thread."""
        await self._switch(on=True)

    @endpoint
    async def delete(self) -> None:
        """Call again for a notebook or a thread."""
        await self._switch(on=False)

    async def _switch(self, *, on: bool) -> None:
        if unknown := next(iter(self.request.query_arguments.keys() - {*MUTED_KINDS, "token"}), None):
            raise InvalidRequestError(
                f"There is nothing named {unknown!r} to mute: say ?notebook=… or ?thread=….", field=unknown
            )
        named = [
            Mute(kind=kind, name=name) for kind in MUTED_KINDS for name in self.get_query_arguments(kind, strip=False)
        ]
        if len(named) != 1 or not 1 <= len(named[0].name) <= MAX_NAME:
            raise InvalidRequestError(
                f"Name one notebook or one thread, as ?notebook=… or ?thread=…, in at most {MAX_NAME} characters.",
                field="notebook",
            )
        await self.service.mute(self.owner, self.viewer, named[0], on=on)
        await self._answer_mutes()

    async def _answer_mutes(self) -> None:
        self.answer(MuteList(mutes=await self.service.mutes(self.owner, self.viewer)))


class BaseInboxHandler(ApiHandler):
    """What both routes of the inbox answer."""

    async def answer_inbox(self, *, unread_only: bool = False) -> None:
        """Finish with the viewer's notices."""
        notices = await self.service.notices(self.owner, self.viewer)
        unread = [notice for notice in notices if notice.read_at is None]
        shown = unread if unread_only else notices
        calling = sum(not notice.muted for notice in unread)
        self.answer(Inbox(notices=[notice_info(notice) for notice in shown], unread=calling))


class NoticesHandler(BaseInboxHandler):
    """``notices``."""

    @endpoint
    async def get(self) -> None:
        """Return the inbox."""
        unread = self.get_query_argument("unread", "false")
        if unread not in ("true", "false"):
            raise InvalidRequestError(f"unread must be true or false, not {unread!r}.", field="unread")
        await self.answer_inbox(unread_only=unread == "true")


class ReadNoticesHandler(BaseInboxHandler):
    """``notices/read``."""

    @endpoint
    async def post(self) -> None:
        """Mark notices read."""
        reading = decode_request(self.request.body, ReadRequest)
        if (reading.ids is None) != reading.all:
            raise InvalidRequestError("Give either ids (a list) or all: true.", field="ids")
        await self.service.read(self.owner, self.viewer, reading.ids)
        await self.answer_inbox()


class NoticeHandler(ApiHandler):
    """``notices/{id}``."""

    @endpoint
    async def delete(self, notice_id: str) -> None:
        """Dismiss a notice."""
        await self.service.dismiss(self.owner, self.viewer, notice_id)
        self.set_status(204)
        self.finish()


ROUTES = [
    (r"mutes", MutesHandler),
    (r"notices", NoticesHandler),
    (r"notices/read", ReadNoticesHandler),
    (r"notices/([A-Za-z0-9_-]+)", NoticeHandler),
]
