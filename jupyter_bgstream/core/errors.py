"""Every error of this package, in one tree.

BgStreamError
├── RequestError                 a request that cannot be served; maps to one HTTP status
│   ├── InvalidRequestError      400
│   ├── NotFoundError            404, also for what belongs to another owner
│   ├── ConflictError            409
│   ├── CursorGoneError          410
│   ├── TooLargeError            413
│   ├── QueueFullError           429
│   └── UnavailableError         503
├── ProviderError                ends a job as ``failed``
├── IllegalEventError            an event that the transition table does not allow
│   └── OutOfOrderError          an event whose number is not the next one
└── FencedError                  a writer whose claim is no longer valid
"""

from __future__ import annotations

from .terminal_text import visible


class BgStreamError(Exception):
    """Base of all errors of this package: a stable ``code`` and a sentence a user can act on."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return visible(self.message)  # it may quote others, and goes to a terminal


class RequestError(BgStreamError):
    """A request that cannot be done as asked. ``status`` is its HTTP status."""

    status = 500


class InvalidRequestError(RequestError):
    """Bad input. ``field`` names what is wrong in it, as a path such as ``messages[0].role``."""

    status = 400
    code = "invalid"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFoundError(RequestError):
    """It is not there, or not yours: the two look the same."""

    status = 404
    code = "not_found"


class ConflictError(RequestError):
    """The id is taken by a job that differs from this one."""

    status = 409
    code = "conflict"


class CursorGoneError(RequestError):
    """The cursor is not of this log, or lies beyond its tail."""

    status = 410
    code = "cursor_gone"


class TooLargeError(RequestError):
    """The request is larger than the server takes."""

    status = 413
    code = "too_large"


class QueueFullError(RequestError):
    """The owner has as many unfinished jobs as the server takes. ``retry_after`` is in seconds."""

    status = 429
    code = "queue_full"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:  # in seconds
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(RequestError):
    """The server starts or stops, or its store cannot be used. ``retry_after`` is in seconds, if it is known."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderError(BgStreamError):
    """What the provider did, or did not do, that ends the try as failed. Codes: see PROTOCOL.md.

    ``transient``: the same request may succeed later, and nothing was delivered for money. ``retry_after``: the seconds
    that the provider asks for until then. ``status``: of a refusal by HTTP.
    """

    code = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.transient = transient
        self.retry_after = retry_after
        self.status = status


# A try that ended so may have been paid for; only a job that asks for it is tried again.
BROKEN_OFF = frozenset({"truncated", "idle_timeout", "malformed_stream"})


class IllegalEventError(BgStreamError):
    """The transition table has no such step; nothing was changed."""

    code = "illegal_event"


class OutOfOrderError(IllegalEventError):
    """The event's number is not the next one; nothing was changed."""


class FencedError(BgStreamError):
    """The writer's claim is old: the job has ended, was deleted, or was claimed by another server."""

    code = "fenced"
