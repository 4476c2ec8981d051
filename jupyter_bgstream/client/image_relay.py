"""Pictures for a page that has no server in reach: a widget's kernel hands them over in pieces.

Jupyter drops what a kernel sends beyond a million bytes a second, counted over three seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.errors import BgStreamError, TooLargeError

if TYPE_CHECKING:
    from .api import Api

LIMIT = 10 * 2**20  # bytes of a picture; the page asks for no larger one
_PIECE = 256 * 1024  # bytes of a message
_PAUSE = 0.4  # seconds between two


class PictureRelay:
    """Hands over one picture after the other."""

    def __init__(self, send: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._send = send
        self._turn = asyncio.Lock()

    async def hand_over(self, api: Api, job_id: str, image_id: str, call: object) -> None:
        """Send the file of a picture as the answer to a call, and then its end, or why there is none."""
        end: dict[str, Any] = {"type": "done", "call": call}
        async with self._turn:
            try:
                await self._pieces(await api.image(job_id, image_id), call)
            except BgStreamError as error:
                end["error"] = {"code": error.code, "message": error.message}
            self._send(end, [])

    async def _pieces(self, data: bytes, call: object) -> None:
        if len(data) > LIMIT:
            raise TooLargeError("It is too large for this page. Use bg.job(…).images, or open the job in JupyterLab.")
        for start in range(0, len(data), _PIECE):
            self._send({"type": "piece", "call": call}, [data[start : start + _PIECE]])
            await asyncio.sleep(_PAUSE)
