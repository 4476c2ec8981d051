"""Enumerations of the wire schemas.

A type checker sees the values that this version knows, and the JSON schema lists them. At run time any string is
decoded, so that an older client can read the responses of a newer server.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec

from ..costs import By
from ..events import MediaType
from ..job import OnRestart, Priority, RetryPolicy
from ..messages import Role
from ..state import Status

STATUSES: tuple[Status, ...] = tuple(status for status in get_args(Status) if status != "new")
BATCH_STATUSES: tuple[Status, ...] = tuple(status for status in STATUSES if status != "waiting")


def _open(*values: str) -> Any:
    return Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(values)})]


if TYPE_CHECKING:
    JobStatus = Status
    JobHint = Status | Literal["deleted"]
    BatchStatus = Status
    ImageMediaType = MediaType
    JobPriority = Priority
    MessageRole = Role
    PartType = Literal["text", "image", "file", "audio"]
    RestartPolicy = OnRestart
    JobRetryPolicy = RetryPolicy
    CostKey = By
else:
    JobStatus = _open(*STATUSES)
    JobHint = _open(*STATUSES, "deleted")
    BatchStatus = _open(*BATCH_STATUSES)
    ImageMediaType = _open(*get_args(MediaType))
    JobPriority = _open(*get_args(Priority))
    MessageRole = _open(*get_args(Role))
    PartType = _open("text", "image", "file", "audio")
    RestartPolicy = _open(*get_args(OnRestart))
    JobRetryPolicy = _open(*get_args(RetryPolicy))
    CostKey = _open(*get_args(By))
