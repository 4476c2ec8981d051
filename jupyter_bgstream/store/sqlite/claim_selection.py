"""Selects the jobs of a claim, and reads only the first jobs of each queue that may start one.

A *lane* is the queue of one owner, priority and batch.
"""

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any

from ...core.batches import Batch
from .. import capacity, transitions
from ..port_values import Capacity
from .rows import batch_from
from .sql_files import one, run


def choose(
    db: sqlite3.Connection, *, server: str, owner: str | None, room: Capacity, limit: int, at: float
) -> tuple[list[int], list[Batch]]:
    """Return the ``jobs.n`` of the jobs that may run now, and the batches that start with them."""
    here, bulk = one(db, "running_here", server=server)
    if here >= room.running:
        return [], []
    owners = dict(run(db, "running_by_owner").fetchall())
    batches = _Batches(db, server)
    load = capacity.RunningCounts(here=here, bulk=bulk, owners=owners, lanes=batches.lanes)
    limit = min(limit, room.running - here)  # one lane may supply all of them
    with ExitStack() as cursors:
        due = _rows(db, "due_jobs", cursors, server=server, owner=owner, at=at, farthest=at + transitions.FARTHEST)
        lanes = [
            _rows(db, "queued_of_lane", cursors, **lane, server=server, limit=limit)
            for lane in _queued_lanes(db, server)
            if owner in (None, lane["owner"])
            and owners.get(lane["owner"], 0) < room.owner
            and not (lane["batch"] and bulk >= room.bulk)
            and batches.free(lane["owner"], lane["lane"])
        ]
        ready = heapq.merge(due, *lanes, key=lambda row: (row["batch"], row["n"]))

        def kind(row: sqlite3.Row) -> capacity.ReadyJob:
            batches.look_up(row["owner"], row["lane"])
            return capacity.ReadyJob(row["owner"], bool(row["batch"]), row["lane"], bool(row["waits"]))

        rows = capacity.chosen(ready, kind, load=load, room=room, limit=limit)
    begun = {(row["owner"], row["lane"]) for row in rows}
    return [row["n"] for row in rows], [batch for key in sorted(begun) if (batch := batches.unbegun(*key))]


def has_work(db: sqlite3.Connection, *, server: str, owner: str) -> bool:
    """Return whether jobs are queued or waiting, those of paused batches excepted."""
    batches = _Batches(db, server)
    with closing(run(db, "waiting_lanes", server=server, owner=owner)) as waiting:
        lanes = {lane for (lane,) in waiting}
    queued = (lane["lane"] for lane in _queued_lanes(db, server) if lane["owner"] == owner)
    return any(not batches.is_paused(owner, lane) for lane in chain(lanes, queued))


class _Batches:
    """The announced batches that a claim meets, each looked up once."""

    def __init__(self, db: sqlite3.Connection, server: str) -> None:
        self._db = db
        self._server = server
        self._known: dict[tuple[str, str], Batch] = {}
        self.lanes: dict[tuple[str, str], capacity.BatchSlot] = {}  # of batches that have a limit or are paused

    def look_up(self, owner: str, lane: str) -> None:
        key = (owner, lane)
        if not lane or key in self._known:
            return
        self._known[key] = batch = batch_from(one(self._db, "batch", owner=owner, id=lane))
        if batch.limit is not None:
            running, waiting = one(self._db, "active_of_lane", owner=owner, lane=lane, server=self._server)
            self.lanes[key] = capacity.BatchSlot(limit=batch.limit, running=running, waiting=waiting)

    def is_paused(self, owner: str, lane: str) -> bool:
        """Return whether a batch is paused."""
        self.look_up(owner, lane)
        return bool(lane) and self._known[owner, lane].paused is not None

    def free(self, owner: str, lane: str) -> bool:
        """Return whether a queued job of a lane may run."""
        self.look_up(owner, lane)
        taken = self.lanes.get((owner, lane))
        return taken is None or taken.free(waits=False)

    def unbegun(self, owner: str, lane: str) -> Batch | None:
        """Return the batch of a lane if none of its jobs has started yet."""
        batch = self._known.get((owner, lane))
        return batch if batch is not None and batch.started_at is None else None


def _queued_lanes(db: sqlite3.Connection, server: str) -> Iterator[dict[str, Any]]:
    # From lane to lane by the index, however many jobs each has.
    lane: dict[str, Any] = {"batch": -1, "owner": "", "lane": ""}
    while (row := one(db, "next_lane", server=server, **lane)) is not None:
        lane = dict(row)
        yield lane


def _rows(db: sqlite3.Connection, name: str, cursors: ExitStack, **values: Any) -> Iterator[sqlite3.Row]:
    return cursors.enter_context(closing(run(db, name, **values)))
