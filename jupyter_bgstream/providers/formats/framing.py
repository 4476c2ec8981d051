"""Framing of streams: server-sent events, newline-delimited JSON, or one JSON document. No socket.

Wire formats: WHATWG HTML, section 9.2.6 "Interpreting an event stream"; https://github.com/ndjson/ndjson-spec. Services
and proxies mix the two, and send errors and whole answers without any framing. So the body decides which it is, line
by line.
"""

import re
from collections.abc import Iterator

import msgspec

from ...core.errors import ProviderError

MAX_EVENT_BYTES = 16 * 1024 * 1024  # without the base64 of images
MAX_IMAGE_BYTES = 48 * 1024 * 1024  # of base64 in one event; the rest is left out
CUT = "~base64 was left out here~"  # replaces that rest in the event
STRAY_BYTES = 2000  # of non-event data that are stored

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t"
_MAY_BE_JSON = b"{[ \t"  # first characters of a line of JSON; no field of an event stream has them
_FIELDS = (b"data", b"event", b"id", b"retry", b"error")
_FIELD = re.compile(rb"(?:data|event|id|retry|error)?:")
_BRACKET = re.compile(rb'["{}\[\]]')
_BASE64 = bytes(character for character in range(128) if chr(character).isalnum()) + b"+/=-_\\"  # in JSON
_BACKSLASH = ord("\\")
_LONG_LINE = 64 * 1024  # bytes; a shorter line holds no large image
_BEFORE_IMAGE = re.compile(  # text before the base64 of an image; the last alternative is for lists
    rb'(?:;base64,|"(?:data|result|b64_json|partial_image_b64|image)"\s*:\s*"|"images"\s*:\s*\[\s*"|",\s*")\Z'
)
_BEFORE_BYTES = 60
_PIECE_BYTES = 64 * 1024  # that are processed at once


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event."""

    type: str  # "message" unless the stream names another
    data: str  # its data lines, joined by \n; or a JSON document without framing
    id: str  # the last id of the stream, perhaps of an earlier event
    is_cut: bool = False  # it contains CUT


class BodyParser:
    """Splits the bytes of one response into events, wherever they are cut.

    An event ends at its blank line, a JSON document where its brackets close. ``end`` returns what the body's end cuts
    off. Time is linear in the bytes. Memory does not depend on the cuts: unfinished data grows in one place.

    An image may be as large as the limit of an event, or larger. So a long run of base64 where an image is announced
    counts towards ``max_image_bytes`` instead of ``max_event_bytes``. Beyond that it is left out: then one image is
    lost, not the answer.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES, max_image_bytes: int = MAX_IMAGE_BYTES) -> None:
        self.stray = b""  # the first non-event lines, such as those of a login page
        self._max = max_event_bytes
        self._max_images = max_image_bytes
        self._images = 0  # bytes of base64 in the event that has not ended yet
        self._is_cut = False  # whether some of it was left out
        self._in_image: bool | None = None  # whether the line ends in the base64 of an image; None: not checked yet
        self._line = bytearray()  # that has not ended yet
        self._data = bytearray()  # of the event that has not ended yet: its data lines, each ended by \n
        self._data_bytes = 0  # of these lines as they came
        self._document = bytearray()  # the JSON document that has not ended yet, its lines each ended by \n
        self._depth = 0  # of its brackets
        self._type = ""
        self._id = ""
        self._at_start = True
        self._after_cr = False  # a \n that follows belongs to the \r before it

    @property
    def is_empty(self) -> bool:
        """Whether no byte has arrived yet."""
        return self._at_start and not self._line and not self._after_cr

    @property
    def unfinished(self) -> int:
        """Number of bytes of an event that has not ended yet."""
        return len(self._line) + len(self._data) + len(self._document)

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that end in these bytes; iterate to the end before the next call.

        Raises ProviderError after the events before the bad one: ``event_too_large``, or ``malformed_stream`` for
        data that is not UTF-8.
        """
        if len(chunk) > _PIECE_BYTES:
            for place in range(0, len(chunk), _PIECE_BYTES):
                yield from self.feed(chunk[place : place + _PIECE_BYTES])
            return
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return
        # On bytes, splitlines splits at the three line ends of SSE only; on str it also splits at U+2028 and others.
        lines = chunk.splitlines()
        self._after_cr = chunk.endswith(b"\r")
        rest = b"" if self._after_cr or chunk.endswith(b"\n") else lines.pop()
        if lines and self._line:
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line = bytearray()
        if lines and self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if line:
                if self._depth or line[0] in _MAY_BE_JSON:
                    yield from self._json(line)
                else:
                    self._field(line)
            elif self._data:
                yield self._event()
            else:  # nothing to dispatch, but the type is reset
                self._type = ""
                self._images = 0
        if rest:
            if len(self._line) < _LONG_LINE or rest.translate(None, _BASE64):
                self._in_image = None
                self._line += rest
                self._check_size()
            else:
                self._grow(rest)

    def end(self) -> Iterator[ServerEvent]:
        """Yield what the body's end cuts off; each may be half an event. Raises as ``feed`` does."""
        if self._line:
            yield from self.feed(b"\n")
        if self._data:
            yield self._event()
        if self._document:
            yield self._end_document()

    def _field(self, line: bytes) -> None:
        if line.startswith(b"data:"):  # nearly always; not copied, since it may have megabytes
            start = 6 if line.startswith(b" ", 5) else 5
            self._add(memoryview(line)[start:] if len(line) > _LONG_LINE else line[start:], line)
            return
        name, _, value = line.partition(b":")
        if not name:
            return  # a comment
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value, line)
        elif name == b"event":
            self._type = _decoded(value)
        elif name == b"id" and b"\0" not in value:
            self._id = _decoded(value)
        elif name == b"error":  # llama.cpp, GPUStack
            self._type = "error"
            self._add(value, line)
        elif len(self.stray) < STRAY_BYTES and not any(field.startswith(name) for field in _FIELDS):
            self.stray += line[:STRAY_BYTES] + b"\n"
        # Anything else is `retry` or unknown; the standard says to ignore it.

    def _add(self, value: bytes | memoryview, line: bytes) -> None:
        self._data += value
        self._data += b"\n"
        self._data_bytes += len(line)
        self._check_size()

    def _json(self, line: bytes) -> Iterator[ServerEvent]:
        # A line of a JSON document, unless it only looks like one.
        if self._depth and _FIELD.match(line):  # the document broke off, and the stream continues
            yield self._end_document()
            self._field(line)
            return
        text = line.strip(_BLANK)
        if not self._depth:
            if not text or text[0] not in b"{[":
                self._field(line)
                return
            if self._data:
                yield self._event()
        self._document += text
        self._document += b"\n"
        self._check_size()
        if not self._depth and text[-1] in b"}]" and _balanced(text):  # newline-delimited: no need to count brackets
            yield self._end_document()
            return
        self._depth += _opened(text)
        if self._depth <= 0:
            yield self._end_document()

    def _end_document(self) -> ServerEvent:
        del self._document[-1:]
        event = self._dispatched(self._document)
        self._document = bytearray()
        self._depth = 0
        return event

    def _event(self) -> ServerEvent:
        del self._data[-1:]
        event = self._dispatched(self._data)
        self._data = bytearray()
        self._data_bytes = 0
        return event

    def _dispatched(self, data: bytearray) -> ServerEvent:
        event = ServerEvent(self._type or "message", _decoded(data), self._id, self._is_cut)
        self._type = ""
        self._images = 0
        self._is_cut = False
        return event

    def _grow(self, piece: bytes) -> None:
        # Append a piece to the line; it may be of an image.
        if self._in_image is None:
            begin = max(self._line.rfind(b'"'), self._line.rfind(b",")) + 1
            before = self._line[max(0, begin - _BEFORE_BYTES) : begin]
            self._in_image = _BEFORE_IMAGE.search(before) is not None and not self._line[begin:].translate(
                None, _BASE64
            )
        if not self._in_image:
            self._line += piece
            self._check_size()
            return
        if self._images + len(piece) <= self._max_images:
            self._images += len(piece)
            self._line += piece
            return
        self._is_cut = True
        if not self._line.endswith(CUT.encode()):
            while self._line.endswith(b"\\"):  # half an escape
                del self._line[-1:]
            self._line += CUT.encode()

    def _check_size(self) -> None:
        if len(self._line) + self._data_bytes + len(self._document) - self._images > self._max:
            raise ProviderError(f"An event has more than {self._max} bytes.", code="event_too_large")


def _balanced(text: bytes) -> bool:
    return text.count(b"{") == text.count(b"}") and text.count(b"[") == text.count(b"]")


def _opened(text: bytes) -> int:
    # Return the number of opened minus closed brackets; a string may have megabytes.
    opened = at = 0
    while (found := _BRACKET.search(text, at)) is not None:
        at = found.end()
        match found[0]:
            case b"{" | b"[":
                opened += 1
            case b"}" | b"]":
                opened -= 1
            case _:
                at = _end_of_string(text, at)
    return opened


def _end_of_string(text: bytes, at: int) -> int:
    # A string that does not end in this line is read as if its quote were none.
    begin = at
    while (end := text.find(b'"', at)) >= 0:
        at = end + 1
        escapes = end
        while escapes > begin and text[escapes - 1] == _BACKSLASH:
            escapes -= 1
        if (end - escapes) % 2 == 0:
            return at
    return begin


def _decoded(line: bytes | bytearray) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ProviderError("The stream is not UTF-8.", code="malformed_stream") from None
