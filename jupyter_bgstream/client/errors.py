"""Errors of the client; errors that the server reports are in ``core.errors``.

BgStreamError
├── ServerConnectionError       no usable server
│   ├── ServerNotFoundError     no server runs
│   ├── MultipleServersError    several servers answer, and none is this process's own
│   ├── ServerUnreachableError  the server does not answer
│   └── VersionMismatchError    the server speaks another protocol
├── IncompleteAnswerError       a job ended without a complete answer
├── BatchPausedError            a batch is paused because its rows failed with the same error
└── AnswerRestartedError        deltas that an iterator returned are no longer part of the answer

Each message is one sentence, and a second one if there is something to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..core.errors import BgStreamError, UnavailableError

if TYPE_CHECKING:
    from ..core.batch_pause import Paused
    from ..core.state import ErrorInfo, Status


class ServerConnectionError(BgStreamError):
    """There is no usable server."""

    code = "no_connection"


class ServerNotFoundError(ServerConnectionError):
    """No server with this extension runs."""

    code = "server_not_found"


class MultipleServersError(ServerConnectionError):
    """Several servers answer, and none of them started this process."""

    code = "several_servers"


class ServerUnreachableError(ServerConnectionError):
    """The server of a runtime file does not answer; ``busy``: it exists, but did not answer in time."""

    code = "server_unreachable"

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class VersionMismatchError(ServerConnectionError):
    """The server uses another version of the protocol."""

    code = "wrong_version"


LOST = (
    ServerNotFoundError,
    ServerUnreachableError,
    UnavailableError,
)  # errors of a server that may be back in a moment


class FailedJob(Protocol):
    """Handle of the job in an error; it is a ``Job``."""

    @property
    def id(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def text(self) -> str: ...
    @property
    def error(self) -> ErrorInfo | None: ...
    def retry(self) -> FailedJob: ...


class IncompleteAnswerError(BgStreamError):
    """The job failed, was cancelled or was interrupted; ``job.text`` is the text so far.

    >>> try:
    ...     bg.submit("x", model="demo/slow").cancel().result()
    ... except bg.IncompleteAnswerError as error:
    ...     print(error.code, repr(error.job.text))
    cancelled ''
    """

    def __init__(self, message: str, *, code: str, job: FailedJob) -> None:
        super().__init__(message, code=code)
        self.job = job


class BatchPausedError(BgStreamError):
    """The batch is paused because its rows failed with the same error, which is ``reason``."""

    code = "batch_paused"

    def __init__(self, batch_id: str, reason: Paused, *, left: int, failed: int) -> None:
        super().__init__(
            f"The batch {batch_id} is paused because its rows failed with the same error ({reason.code}):"
            f" {reason.message}\nFix the cause, then call batch.resume() for the {left:,} remaining rows, batch.retry()"
            f" for these and the {failed:,} failed rows, or batch.cancel()."
        )
        self.reason = reason


class AnswerRestartedError(BgStreamError):
    """Another attempt has begun: discard the deltas so far and iterate again."""

    code = "started_over"
