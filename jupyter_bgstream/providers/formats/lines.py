"""JSON a line (NDJSON): bytes in, lines out. No socket.

Wire format: https://github.com/ndjson/ndjson-spec.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.errors import ProviderError
from .sse import MAX_EVENT_BYTES, ServerEvent

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r"


class LineParser:
    """Turns the bytes of one stream into lines, however they were cut.

    A line ends at its newline; a last one without is dropped, so that a truncation shows: who writes these streams ends
    every line. Blank lines are left out. Time is linear in the bytes, as in SSEParser.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended yet
        self._bytes = 0
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the lines that end in these bytes; iterate to the end before the next call.

        Raises ProviderError: ``event_too_large``, ``malformed_stream`` for what is not UTF-8. Lines before the bad one
        have been yielded then.
        """
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            if self._pieces:
                line = b"".join([*self._pieces, line])
                self._pieces.clear()
                self._bytes = 0
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            self._check_size(len(line))
            if text := line.strip(_BLANK):
                yield ServerEvent("message", _decoded(text), "")
        if rest:
            self._pieces.append(rest)
            self._bytes += len(rest)
            self._check_size(self._bytes)

    def _check_size(self, size: int) -> None:
        if size > self._max:
            raise ProviderError(f"An event has more than {self._max} bytes.", code="event_too_large")


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ProviderError("The stream is not UTF-8.", code="malformed_stream") from None
