"""Images of an answer: validates and decodes them off the event loop; each leaves a line in the answer's text."""

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
from ..providers.port import ImageData, ProviderEvent, Resume

MAX_IMAGES = 16  # of an attempt
MAX_BYTES = 32 * 1024 * 1024  # of one image; the base64 of a larger one may be cut

_PIECE = 256 * 1024  # characters decoded at a time, in some hundred µs, so that other threads run in between
_HEAD = 64  # characters of base64 that contain the first bytes, even with some line ends
_BLANK = b" \t\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SAFE_IN_ADDRESS = "/:?#@!$&'()+,;=%~"  # characters of a URL without a meaning in Markdown
_HTTP = re.compile(r"https?://", re.I)


class Extracted(NamedTuple):
    """Storable part of a batch: its events, and the files of the images among them by image id."""

    events: list[Event | Resume]
    files: dict[str, bytes]


class _File(NamedTuple):
    media_type: MediaType
    data: bytes


class ImageCollector:
    """Extracts the images from one attempt's batches, in order.

    Args:
        attempt: its number.
        max_bytes: of all its images together.
        before: the answer so far of a resumed attempt.

    """

    def __init__(self, attempt: int, *, max_bytes: int, before: Answer | None = None) -> None:
        before = before or Answer()
        self._attempt = attempt
        self._max_bytes = max_bytes
        self._count = len(before.images)
        self._bytes = sum(image.bytes for image in before.images)
        self._number = max((int(image.id.rpartition("-")[2]) for image in before.images), default=0)
        self._tail = before.text[-2:]  # of the text so far
        self._after_image = False  # whether the text ends with the line of an image

    async def extract(self, batch: Sequence[ProviderEvent]) -> Extracted:
        """Return a batch's events with a line of text in the place of each image."""
        events: list[Event | Resume] = []
        files: dict[str, bytes] = {}
        for event in batch:
            if isinstance(event, ImageData):
                events += await self._image(event, files)
            elif isinstance(event, Delta) and event.channel == "text" and event.text:
                text = event.text
                if self._after_image:
                    self._after_image = False
                    text = _break_after(self._tail, text) + text
                    event = Delta(channel="text", text=text)
                self._tail = (self._tail + text)[-2:] if len(text) < 2 else text[-2:]
                events.append(event)
            else:
                events.append(event)
        return Extracted(events, files)

    # Every line begins with "(Picture N": stored logs have it, and readers of the text look for it.

    async def _image(self, found: ImageData, files: dict[str, bytes]) -> list[Event]:
        self._number += 1
        file = await self._file(found)
        if isinstance(file, str):
            return [self._line(f"Picture {self._number} {file}")]
        image = Image(id=f"{self._attempt}-{self._number}", media_type=file.media_type, bytes=len(file.data))
        files[image.id] = file.data
        self._count += 1
        self._bytes += image.bytes
        return [self._line(f"Picture {self._number}: {FORMATS[image.media_type]}, {size_words(image.bytes)}"), image]

    def _line(self, line: str) -> Delta:
        text = f"{_break_after(self._tail, '')}({line})"
        self._tail, self._after_image = text[-2:], True
        return Delta(channel="text", text=text)

    async def _file(self, image: ImageData) -> _File | str:
        # The file, or why it is missing.
        if image.url:
            return _address(image.url)
        if image.is_cut:
            return "is not kept: it came in an event that is too large."
        if not image.data:
            return "is not kept: it has no data that can be read."
        media_type = _media_type_of(image.data)
        if media_type is None:
            return "is not kept: it is not a PNG, JPEG, GIF or WebP file."
        size = len(image.data) * 3 // 4  # about
        if self._count >= MAX_IMAGES:
            return f"is not kept: an answer has at most {MAX_IMAGES}."
        for limit, name in ((MAX_BYTES, ""), (self._max_bytes - self._bytes, " that are left of max_image_bytes")):
            if size > limit + 2:
                return f"is not kept: it has {size_words(size)}, more than {size_words(max(0, limit))}{name}."
        data = await asyncio.to_thread(decode_base64, image.data)
        if data is None:
            return "is not kept: its base64 is broken."
        return _File(media_type, data)


def decode_base64(text: str) -> bytes | None:
    """Decode base64 of either alphabet, with or without padding and line ends; return None if it is invalid."""
    pieces: list[bytes] = []
    rest = b""
    padded = False
    try:
        for begin in range(0, len(text), _PIECE):
            piece = rest + text[begin : begin + _PIECE].encode("ascii").translate(_URL_SAFE, _BLANK)
            end = len(piece) // 4 * 4
            rest = piece[end:]
            if padded and piece:
                return None
            padded = piece.endswith(b"=")
            pieces.append(_decode_strictly(piece[:end]))
        if rest:
            pieces.append(_decode_strictly(rest + b"=" * (4 - len(rest))))
    except (Error, ValueError):
        return None
    return b"".join(pieces)


def _decode_strictly(piece: bytes) -> bytes:
    return a2b_base64(piece, strict_mode=True)


def _media_type_of(text: str) -> MediaType | None:
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
    """Return the line ends that make ``text`` a new paragraph after text that ends with ``tail``."""
    if not tail or tail == "\n\n" or text.startswith("\n\n"):
        return ""
    return "\n" if tail.endswith("\n") or text.startswith("\n") else "\n\n"
