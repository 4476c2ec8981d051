"""What can go wrong on the client's side; what the server refuses are the errors of ``core.errors``.

BgStreamError
├── ConnectionProblem       no server to talk to
│   ├── ServerNotFound      there is none
│   ├── SeveralServers      there is more than one, and no way to tell which is meant
│   ├── ServerUnreachable   there was one, it does not answer
│   └── WrongVersion        it speaks another protocol
├── Incomplete              a job ended without a whole answer
├── BatchPaused             a batch waits for you, since its rows failed alike
└── StartedOver             what an iterator has handed out is no longer part of the answer

Each message is one sentence that says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.errors import BgStreamError, Unavailable

if TYPE_CHECKING:
    from ..core.pauses import Paused
    from .job_handle import Job


class ConnectionProblem(BgStreamError):
    """There is no server to talk to."""

    code = "no_connection"


class ServerNotFound(ConnectionProblem):
    """No server has left a runtime file."""

    code = "server_not_found"


class SeveralServers(ConnectionProblem):
    """More than one server answers and none of them is this process's own."""

    code = "several_servers"


class ServerUnreachable(ConnectionProblem):
    """There is a runtime file, but its server does not answer. ``busy``: it is there, only not in time."""

    code = "server_unreachable"

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class WrongVersion(ConnectionProblem):
    """The server speaks another version of the protocol."""

    code = "wrong_version"


LOST = (ServerNotFound, ServerUnreachable, Unavailable)  # a server that may be back in a moment


class Incomplete(BgStreamError):
    """The job failed, was cancelled or was interrupted; ``job.text`` is what it had said by then.

    >>> try:
    ...     bg.submit("x", model="demo/slow").cancel().result()
    ... except bg.Incomplete as error:
    ...     print(error.code, repr(error.job.text))
    cancelled ''
    """

    def __init__(self, message: str, *, code: str, job: Job) -> None:
        super().__init__(message, code=code)
        self.job = job


class BatchPaused(BgStreamError):
    """The batch waits for you: its rows failed alike, and the next would. ``reason`` is the last one's error."""

    code = "batch_paused"

    def __init__(self, batch_id: str, reason: Paused, *, left: int, failed: int) -> None:
        super().__init__(
            f"The batch {batch_id} is paused, since its rows failed alike ({reason.code}): {reason.message}\n"
            f"Nothing more is asked. When that is mended: batch.resume() for the {left:,} rows that are left,"
            f" batch.retry() for these and the {failed:,} that failed. Or batch.cancel()."
        )
        self.reason = reason


class StartedOver(BgStreamError):
    """The provider was asked again from scratch: forget the deltas so far and iterate anew."""

    code = "started_over"
