"""Options of a job that ``submit`` and ``map`` share, checked and encoded at one place."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ..core.errors import InvalidRequestError
from ..core.job import OnRestart, Priority, RetryPolicy


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a job, as ``submit`` takes them.

    Raises:
        InvalidRequestError: ``params`` is not a dict, or ``tags`` is not a list.

    """

    model: str | None = None  # provider/name or an alias; None: the server's default
    params: Mapping[str, Any] | None = None
    tags: Sequence[str] = ()
    priority: Priority | None = None
    on_restart: OnRestart | None = None
    retry_policy: RetryPolicy | None = None
    idle_timeout: float | None = None  # seconds

    def __post_init__(self) -> None:
        if self.params is not None and not isinstance(self.params, Mapping):
            raise InvalidRequestError(
                f"params must be a dict, not a {type(self.params).__name__}: params={{'max_tokens': 500}}.",
                field="params",
            )
        if isinstance(self.tags, str) or not isinstance(self.tags, Iterable):
            raise InvalidRequestError(
                f'tags must be a list of texts, not a {type(self.tags).__name__}: tags=["…"].', field="tags"
            )

    def encoded(self) -> dict[str, Any]:
        """Return the fields of a REST request; options that are not set are left out."""
        fields = msgspec.structs.asdict(self) | {"params": dict(self.params or {}), "tags": list(self.tags)}
        return {name: value for name, value in fields.items() if value not in (None, [], {})}
