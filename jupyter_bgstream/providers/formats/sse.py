"""Server-sent events: bytes in, events out. No socket.

Wire format: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...core.errors import ProviderError

MAX_EVENT_BYTES = 16 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event."""

    type: str  # "message" unless the stream named another
    data: str  # its data lines, joined by \n
    id: str  # the last id the stream gave, also by an earlier event


class SSEParser:
    """Turns the bytes of one stream into events, however they were cut.

    An event ends at its blank line; what the stream ends in the middle of is dropped, so that a truncation shows.
    Time is linear in the bytes: the pieces of an unfinished line are gathered in a list and joined once.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended yet
        self._pieces_bytes = 0
        self._data: list[str] = []  # data lines of the event that has not ended yet
        self._data_bytes = 0
        self._type = ""
        self._id = ""
        self._at_start = True
        self._after_cr = False  # a \n that comes next belongs to the \r before it

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that end in these bytes; iterate to the end before the next call.

        Raises ProviderError: ``event_too_large``, ``malformed_stream`` for what is not UTF-8. Events before the
        bad one have been yielded then.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return
        # Of bytes, splitlines knows just the three line ends of SSE; of str it would also split at U+2028 and others.
        lines = chunk.splitlines()
        self._after_cr = chunk.endswith(b"\r")
        rest = b"" if self._after_cr or chunk.endswith(b"\n") else lines.pop()
        if lines and self._pieces:
            lines[0] = b"".join([*self._pieces, lines[0]])
            self._pieces.clear()
            self._pieces_bytes = 0
        if lines and self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                yield self._event()
            else:  # nothing to dispatch, but the type does not live on
                self._type = ""
        if rest:
            self._pieces.append(rest)
            self._pieces_bytes += len(rest)
            self._check_size()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        try:
            if name == b"data":
                self._data_bytes += len(line)
                self._check_size()
                self._data.append(value.decode())
            elif name == b"event":
                self._type = value.decode()
            elif name == b"id" and b"\0" not in value:
                self._id = value.decode()
            # Anything else is a comment (no name), `retry`, or unknown: ignored, as the format says.
        except UnicodeDecodeError:
            raise ProviderError("The stream is not UTF-8.", code="malformed_stream") from None

    def _event(self) -> ServerEvent:
        data = self._data[0] if len(self._data) == 1 else "\n".join(self._data)
        event = ServerEvent(self._type or "message", data, self._id)
        self._data.clear()
        self._data_bytes = 0
        self._type = ""
        return event

    def _check_size(self) -> None:
        if self._pieces_bytes + self._data_bytes > self._max:
            raise ProviderError(f"An event has more than {self._max} bytes.", code="event_too_large")
