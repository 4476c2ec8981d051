"""Pictures of an answer: judged, decoded beside the event loop, and told of in the text in any case."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from binascii import Error, a2b_base64
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from ..core.events import Delta, Event, Image, MediaType
from ..core.image_files import FORMATS, HEAD_BYTES, media_type_of, size_words
from ..core.state import Answer
from ..providers.base import ImageData, ProviderEvent, Resume

MOST_PICTURES = 16  # of an attempt that are kept
MOST_BYTES = 32 * 1024 * 1024  # of one of them; the base64 of a larger one may not have come whole

_PIECE = 256 * 1024  # characters decoded at a time, for some hundred µs: other threads have their turn in between
_HEAD = 64  # characters of base64 that surely hold the first bytes, also with some line ends
_BLANK = b" \t\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SAFE_IN_ADDRESS = "/:?#@!$&'()+,;=%~"  # of all that an address may hold, what Markdown leaves alone
_HTTP = re.compile(r"https?://", re.I)
_KINDS = "it is not a PNG, JPEG, GIF or WebP file"


class Taken(NamedTuple):
    """What may be stored of a batch: its events, and the files of the pictures among them by their ids."""

    events: list[Event | Resume]
    files: dict[str, bytes]


class _File(NamedTuple):
    media_type: MediaType
    data: bytes


class Pictures:
    """Sees one attempt's batches in order.

    Args:
        attempt: its number.
        most_bytes: that all its pictures may have together.
        before: what it has said already, on a server before this one.

    """

    def __init__(self, attempt: int, *, most_bytes: int, before: Answer | None = None) -> None:
        before = before or Answer()
        self._attempt = attempt
        self._most_bytes = most_bytes
        self._kept = len(before.images)
        self._bytes = sum(image.bytes for image in before.images)
        self._number = max((int(image.id.rpartition("-")[2]) for image in before.images), default=0)
        self._tail = before.text[-2:]  # of the text so far
        self._is_after = False  # whether the text ends with words about a picture

    async def take(self, said: Sequence[ProviderEvent]) -> Taken:
        """Return what a batch says, with words in the place of each picture."""
        events: list[Event | Resume] = []
        files: dict[str, bytes] = {}
        for item in said:
            if isinstance(item, ImageData):
                events += await self._picture(item, files)
            elif isinstance(item, Delta) and item.channel == "text" and item.text:
                text = item.text
                if self._is_after:
                    self._is_after = False
                    text = _break_after(self._tail, text) + text
                    item = Delta(channel="text", text=text)
                self._tail = (self._tail + text)[-2:] if len(text) < 2 else text[-2:]
                events.append(item)
            else:
                events.append(item)
        return Taken(events, files)

    async def _picture(self, picture: ImageData, files: dict[str, bytes]) -> list[Event]:
        self._number += 1
        found = await self._file(picture)
        if isinstance(found, str):
            return [self._words(f"Picture {self._number} {found}")]
        image = Image(id=f"{self._attempt}-{self._number}", media_type=found.media_type, bytes=len(found.data))
        files[image.id] = found.data
        self._kept += 1
        self._bytes += image.bytes
        return [self._words(f"Picture {self._number}: {FORMATS[image.media_type]}, {size_words(image.bytes)}"), image]

    def _words(self, words: str) -> Delta:
        text = f"{_break_after(self._tail, '')}({words})"
        self._tail, self._is_after = text[-2:], True
        return Delta(channel="text", text=text)

    async def _file(self, picture: ImageData) -> _File | str:
        # The file, or why there is none.
        if picture.url:
            return _address(picture.url)
        if picture.is_cut:
            return "is not kept: it came in an event that is too large to be read whole."
        if not picture.data:
            return "is not kept: there is no data that can be read."
        media_type = _kind_of(picture.data)
        if media_type is None:
            return f"is not kept: {_KINDS}."
        size = len(picture.data) * 3 // 4  # about
        if self._kept >= MOST_PICTURES:
            return f"is not kept: an answer has at most {MOST_PICTURES}."
        for most, of in ((MOST_BYTES, ""), (self._most_bytes - self._bytes, " that are left of max_image_bytes")):
            if size > most + 2:
                return f"is not kept: it has {size_words(size)}, more than {size_words(max(0, most))}{of}."
        data = await asyncio.to_thread(decoded, picture.data)
        if data is None:
            return "is not kept: its base64 is broken."
        return _File(media_type, data)


def decoded(text: str) -> bytes | None:
    """Return what base64 stands for, of either alphabet, with or without padding and line ends; None if it is none."""
    pieces: list[bytes] = []
    rest = b""
    padded = False
    try:
        for begin in range(0, len(text), _PIECE):
            piece = rest + text[begin : begin + _PIECE].encode("ascii").translate(_URL_SAFE, _BLANK)
            whole = len(piece) // 4 * 4
            rest = piece[whole:]
            if padded and piece:
                return None
            padded = piece.endswith(b"=")
            pieces.append(_strictly(piece[:whole]))
        if rest:
            pieces.append(_strictly(rest + b"=" * (4 - len(rest))))
    except (Error, ValueError):
        return None
    return b"".join(pieces)


def _strictly(piece: bytes) -> bytes:
    return a2b_base64(piece, strict_mode=True)


def _kind_of(text: str) -> MediaType | None:
    head = text[:_HEAD].encode("ascii", "replace").translate(_URL_SAFE, _BLANK)
    try:
        return media_type_of(b64decode(head[: len(head) // 4 * 4])[:HEAD_BYTES])
    except (Error, ValueError):
        return None


def _address(url: str) -> str:
    if not _HTTP.match(url):
        return "is not kept: its address is not of http or https."
    return f"is at {quote(url, safe=_SAFE_IN_ADDRESS)}, which is not fetched."


def _break_after(tail: str, text: str) -> str:
    """Return what makes a new paragraph of a text behind one that ends so."""
    if not tail or tail == "\n\n" or text.startswith("\n\n"):
        return ""
    return "\n" if tail.endswith("\n") or text.startswith("\n") else "\n\n"
