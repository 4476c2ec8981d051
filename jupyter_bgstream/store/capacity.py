"""Capacity of a server: which ready jobs a claim may take."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from .port_values import Capacity

T = TypeVar("T")


@dataclass
class BatchSlot:
    """A batch with a limit of running jobs, and how many of its places are taken on this server."""

    limit: int
    running: int
    waiting: int  # for their next attempt

    def free(self, *, waits: bool) -> bool:
        """Return whether one more job may run; a waiting job already has its place."""
        return self.running + (0 if waits else self.waiting) < self.limit

    def take(self, *, waits: bool) -> None:
        """Count one more running job."""
        self.running += 1
        self.waiting -= waits


class ReadyJob(NamedTuple):
    """The properties of a ready job that a claim considers."""

    owner: str
    is_bulk: bool
    batch: str  # "" for a job without an announced batch
    waits: bool  # whether it waits for another attempt, which is due


class RunningCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The running jobs at the moment of a claim."""

    here: int  # jobs of the server that claims
    bulk: int  # of them with the priority bulk
    owners: dict[str, int]  # on all servers
    lanes: Mapping[tuple[str, str], BatchSlot] = {}  # by owner and batch; of batches that have a limit or are paused


def chosen(
    ready: Iterable[T], kind: Callable[[T], ReadyJob], *, load: RunningCounts, room: Capacity, limit: int
) -> list[T]:
    """Return the ready jobs that may run.

    Args:
        ready: The ready jobs in order: interactive ones first, then the oldest.
        kind: Returns the properties of one of them.
        load: The running jobs.
        room: How many jobs may run at a time.
        limit: At most so many jobs.
    """
    found: list[T] = []
    here, bulk, owners = load.here, load.bulk, dict(load.owners)
    for item in ready:
        owner, is_bulk, batch, waits = kind(item)
        if len(found) >= limit or here >= room.running or (is_bulk and bulk >= room.bulk):
            break  # only bulk jobs follow
        slot = load.lanes.get((owner, batch))
        if owners.get(owner, 0) < room.owner and (slot is None or slot.free(waits=waits)):
            if slot is not None:
                slot.take(waits=waits)
            found.append(item)
            here, bulk, owners[owner] = here + 1, bulk + is_bulk, owners.get(owner, 0) + 1
    return found
