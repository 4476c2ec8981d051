"""What can go wrong on the client's side; what the server refuses are the errors of ``core.errors``.

BgStreamError
├── ServerConnectionError        no server to talk to
│   ├── ServerNotFoundError      no server was found
│   ├── MultipleServersError     several servers were found, and none of them is this process's own
│   ├── ServerUnreachableError   the server does not answer
│   └── VersionMismatchError     the server speaks another protocol
├── IncompleteAnswerError        a job ended without a whole answer
├── BatchPausedError             a batch is paused, since its rows fail alike
└── AnswerRestartedError         the deltas of an iterator are no longer part of the answer

Each message is one sentence that says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..core.errors import BgStreamError, UnavailableError

if TYPE_CHECKING:
    from ..core.pauses import Paused
    from ..core.state import ErrorInfo, Status


class ServerConnectionError(BgStreamError):
    """There is no server to talk to."""

    code = "no_connection"


class ServerNotFoundError(ServerConnectionError):
    """No server has left a runtime file."""

    code = "server_not_found"


class MultipleServersError(ServerConnectionError):
    """More than one server answers and none of them is this process's own."""

    code = "several_servers"


class ServerUnreachableError(ServerConnectionError):
    """There is a runtime file, but its server does not answer. ``busy``: it is there, only not in time."""

    code = "server_unreachable"

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class VersionMismatchError(ServerConnectionError):
    """The server speaks another version of the protocol."""

    code = "wrong_version"


LOST = (ServerNotFoundError, ServerUnreachableError, UnavailableError)  # a server that may be back in a moment


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
    """The job failed, was cancelled or was interrupted; ``job.text`` is what it had said by then.

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
    """The batch waits for you: its rows failed alike, and the next would. ``reason`` is the last one's error."""

    code = "batch_paused"

    def __init__(self, batch_id: str, reason: Paused, *, left: int, failed: int) -> None:
        super().__init__(
            f"The batch {batch_id} is paused, since its rows failed alike ({reason.code}): {reason.message}\n"
            f"Nothing more is asked. When that is mended: batch.resume() for the {left:,} rows that are left,"
            f" batch.retry() for these and the {failed:,} that failed. Or batch.cancel()."
        )
        self.reason = reason


class AnswerRestartedError(BgStreamError):
    """The provider was asked again from scratch: forget the deltas so far and iterate anew."""

    code = "started_over"
