"""A position in one log: ``<8 hex of the log>_<attempt, 4 digits>_<seq, 12 digits>``, sortable as text."""

import re
import secrets

import msgspec

from .errors import CursorGoneError, InvalidRequestError

_FORM = re.compile(r"([0-9a-f]{8})_([0-9]{4})_([0-9]{12})")


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The position after event ``seq``. Opaque to everything but the server."""

    log: str  # 8 hex digits
    attempt: int
    seq: int

    def __str__(self) -> str:
        # zfill takes half the time of a format, and lists of jobs have hundreds of cursors.
        return f"{self.log}_{str(self.attempt).zfill(4)}_{str(self.seq).zfill(12)}"


def new_log() -> str:
    """Return a random name for a new log, 8 hex digits: a cursor of another log does not fit it."""
    return secrets.token_hex(4)


def check_form(text: str | None) -> None:
    """Check the syntax of a cursor.

    Raises:
        InvalidRequestError: It is not a cursor of any log.
    """
    if text not in (None, "-1", "now") and not _FORM.fullmatch(text):
        raise InvalidRequestError(
            f"{text[:60]!r} is not a cursor: use -1, now, or a cursor from this server.", field="offset"
        )


def position(text: str | None, tail: Cursor) -> int:
    """Return the ``seq`` that a cursor stands for: ``None`` or ``-1`` is the beginning, ``now`` the tail.

    Raises:
        InvalidRequestError: It is not a cursor.
        CursorGoneError: It belongs to another log or lies beyond the tail.
    """
    check_form(text)
    if text is None or text == "-1":
        return 0
    if text == "now":
        return tail.seq
    match = _FORM.fullmatch(text)
    assert match is not None  # its syntax was checked
    log, attempt, seq = match[1], int(match[2]), int(match[3])
    if log != tail.log or seq > tail.seq or attempt > tail.attempt:
        raise CursorGoneError(
            "This cursor is not of this log as it is now; read the job from the beginning (offset -1)."
        )
    return seq
