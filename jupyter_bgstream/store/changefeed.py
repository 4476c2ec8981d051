"""Delivery of commits to the subscribers of ``changes()``, in order and in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from weakref import WeakSet

import msgspec

from .port_values import Change

UNREAD_BYTES = 4 * 1024 * 1024  # of events held for one subscriber that does not read
UNREAD_CHANGES = 4096


class Subscription:
    """One subscriber of commits: an async iterator of lists of changes.

    A subscriber that keeps up gets every change as it was published. Once more than UNREAD_BYTES or UNREAD_CHANGES
    wait, they are merged into one change per job and one per notice, with the newest state and tail but without event
    bytes: the subscriber then reads the log, as for a change made by another server. So a subscriber that does not
    read costs one small value per job.
    """

    def __init__(self) -> None:
        self._unread: list[Change] = []
        self._bytes = 0
        self._most = UNREAD_CHANGES
        self._closed = False
        self._wake = asyncio.Event()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Sequence[Change]:
        await self._wake.wait()
        if not self._unread:
            raise StopAsyncIteration
        changes, self._unread = self._unread, []
        self._bytes, self._most = 0, UNREAD_CHANGES
        if not self._closed:
            self._wake.clear()
        return changes

    def offer(self, changes: Sequence[Change]) -> None:
        """Queue one commit's changes."""
        self._unread.extend(changes)
        self._bytes += sum(len(event) for change in changes for event in change.events)
        if self._bytes > UNREAD_BYTES or len(self._unread) > self._most:
            self._unread = merged(self._unread)
            # Twice the rest: repeated merges of many jobs then cost little per change.
            self._bytes, self._most = 0, max(UNREAD_CHANGES, 2 * len(self._unread))
        self._wake.set()

    def close(self) -> None:
        """End the iterator after the queued changes."""
        self._closed = True
        self._wake.set()


class Changefeed:
    """All subscribers of one store. Belongs to one event loop."""

    def __init__(self) -> None:
        # Weak: an iterator without other references is no longer served.
        self._subscriptions: WeakSet[Subscription] = WeakSet()
        self._closed = False

    def subscribe(self) -> Subscription:
        """Return an iterator over every commit from now on; it is empty if the store is closed."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        if self._closed:
            subscription.close()
        return subscription

    def publish(self, changes: Sequence[Change]) -> None:
        """Deliver one commit's changes to all subscribers."""
        if changes:
            for subscription in self._subscriptions:
                subscription.offer(changes)

    def close(self) -> None:
        """End every iterator."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()


def merged(changes: Iterable[Change]) -> list[Change]:
    """Merge changes into the newest of each log and notice, without event bytes.

    A deletion replaces the earlier changes of its job.
    """
    newest: dict[tuple[str, str, str], Change] = {}
    for change in changes:
        log = (change.owner, change.subject, "log")
        key = log if change.kind in ("job", "events") else (change.owner, change.subject, change.kind)
        before = newest.pop(key, None)
        if change.kind == "deleted":
            newest.pop(log, None)
        kind = "job" if before is not None and before.kind == "job" else change.kind
        newest[key] = msgspec.structs.replace(change, kind=kind, events=())
    return list(newest.values())
