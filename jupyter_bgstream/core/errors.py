"""Every error of this package, in one tree.

BgStreamError
├── RequestError             a request that cannot be fulfilled; maps to one HTTP status
│   ├── InvalidRequestError  400
│   ├── NotFoundError        404, also for what belongs to another owner
│   ├── ConflictError        409
│   ├── CursorGoneError      410
│   ├── TooLargeError        413
│   ├── QueueFullError       429
│   └── UnavailableError     503
├── ProviderError            a failure that ends an attempt as ``failed``
├── IllegalEventError        an event that the transition table does not allow
│   └── OutOfOrderError      an event whose number is not the next one
└── FencedError              a writer whose claim is no longer valid
"""

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
        return visible(self.message)  # it may quote untrusted text, and goes to a terminal


class RequestError(BgStreamError):
    """A request that cannot be fulfilled. ``status`` is its HTTP status."""

    status = 500


class InvalidRequestError(RequestError):
    """Invalid input. ``field`` is the path of the wrong field, such as ``messages[0].role``."""

    status = 400
    code = "invalid"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFoundError(RequestError):
    """It does not exist or belongs to another owner: the two look the same."""

    status = 404
    code = "not_found"


class ConflictError(RequestError):
    """The request conflicts with the present state, such as an id that belongs to a different job."""

    status = 409
    code = "conflict"


class CursorGoneError(RequestError):
    """The cursor belongs to another log or lies beyond the tail."""

    status = 410
    code = "cursor_gone"


class TooLargeError(RequestError):
    """The request is larger than the server accepts."""

    status = 413
    code = "too_large"


class QueueFullError(RequestError):
    """The owner has as many unfinished jobs as the server accepts. ``retry_after`` is in seconds."""

    status = 429
    code = "queue_full"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:  # in seconds
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(RequestError):
    """The server starts or stops, or its store cannot be used. ``retry_after`` is in seconds; None if unknown."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderError(BgStreamError):
    """A failure of the provider that ends the attempt. Codes: see PROTOCOL.md.

    Attributes:
        transient: Whether the same request may succeed later, and nothing was delivered that costs money.
        retry_after: Seconds that the provider asks to wait; None if it does not say.
        status: The HTTP status of a refusal; None otherwise.
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


# An attempt that failed with one of these codes may have cost money; it is repeated only if the job asks for it.
BROKEN_OFF = frozenset({"truncated", "idle_timeout", "malformed_stream"})


class IllegalEventError(BgStreamError):
    """The transition table does not allow the event; nothing was changed."""

    code = "illegal_event"


class OutOfOrderError(IllegalEventError):
    """The event's number is not the next one; nothing was changed."""


class FencedError(BgStreamError):
    """The writer's claim is old: the job has ended, was deleted, or was claimed by another server."""

    code = "fenced"
