"""The contents of an open memory store."""

from __future__ import annotations

from dataclasses import dataclass, field

from store.model.inbox import Inbox

from jupyter_bgstream.core.batches import Batch
from jupyter_bgstream.core.codec import encode
from jupyter_bgstream.core.events import MediaType
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.threads import Fork
from jupyter_bgstream.store import cost_ledger


@dataclass
class StoredJob:
    """A job and its log."""

    place: int  # in the list of all jobs, growing
    job: Job
    log: list[bytes]
    images: dict[str, tuple[MediaType, bytes]] = field(default_factory=dict)  # their files
    changed: int = 0  # the number of the last change of its state, growing
    announced_at: float | None = None  # Unix seconds

    @property
    def bytes(self) -> int:
        """The size of its texts and images."""
        texts = sum(map(len, self.log)) + len(encode(self.job.spec)) + len(encode(self.job.history))
        return texts + sum(len(file) for _, file in self.images.values())


@dataclass
class State:
    """Everything in an open store; dicts keep the order of arrival."""

    inbox: Inbox
    jobs: dict[tuple[str, str], StoredJob] = field(default_factory=dict)
    batches: dict[tuple[str, str], Batch] = field(default_factory=dict)
    forks: dict[tuple[str, str], tuple[int, Fork]] = field(default_factory=dict)  # with their places among the jobs
    ledger: dict[str, list[cost_ledger.Entry]] = field(default_factory=dict)  # by owner, of deleted jobs
    places: int = 0
    changes: int = 0
