"""Image files for a page that cannot reach the server: the kernel of a widget sends them in chunks.

Jupyter drops what a kernel sends beyond a million bytes a second, measured over three seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.errors import BgStreamError, TooLargeError

if TYPE_CHECKING:
    from .rest_client import Api

LIMIT = 10 * 2**20  # bytes of an image; the page asks for no larger one
_CHUNK = 256 * 1024  # bytes of a message
_PAUSE = 0.4  # seconds between two chunks


class ImageRelay:
    """Sends one image after the other."""

    def __init__(self, send: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._send = send
        self._turn = asyncio.Lock()

    async def relay(self, api: Api, job_id: str, image_id: str, call: object) -> None:
        """Send the file of an image as the reply to a call, then the end of the reply or an error."""
        end: dict[str, Any] = {"type": "done", "call": call}
        async with self._turn:
            try:
                await self._send_chunks(await api.image(job_id, image_id), call)
            except BgStreamError as error:
                end["error"] = {"code": error.code, "message": error.message}
            self._send(end, [])

    async def _send_chunks(self, data: bytes, call: object) -> None:
        if len(data) > LIMIT:
            raise TooLargeError("The image is too large for this page. Use bg.job(…).images or JupyterLab.")
        for start in range(0, len(data), _CHUNK):
            self._send({"type": "piece", "call": call}, [data[start : start + _CHUNK]])
            await asyncio.sleep(_PAUSE)
