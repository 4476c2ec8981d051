"""The inbox of the memory store: notices and their state per viewer, mutes and webhook calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.notices import CALL_AFTER, Mute, Notice, mutes
from jupyter_bgstream.store import preconditions, transitions
from jupyter_bgstream.store.port_values import Change


@dataclass
class StoredNotice:
    """A notice, and its state per viewer."""

    notice: Notice
    call_at: float | None  # Unix seconds; None: never
    read: dict[str, float] = field(default_factory=dict)  # viewer: Unix seconds
    dismissed: set[str] = field(default_factory=set)  # viewers; they have read it as well


class Inbox:
    """All notices of an open store, in order of arrival. ``publish`` is called with every change."""

    def __init__(self, publish: Callable[[Sequence[Change]], None]) -> None:
        self._publish = publish
        self._notices: dict[tuple[str, str], StoredNotice] = {}
        self._mutes: dict[tuple[str, str], set[Mute]] = {}  # by owner and viewer

    def put(self, notice: Notice) -> None:
        """Add a notice."""
        if notice.batch is not None:  # a batch that ends again, after a retry, has one notice
            self.forget_batch(notice.owner, notice.batch)
        self._notices[notice.owner, notice.id] = StoredNotice(notice, call_at=notice.created_at + CALL_AFTER)

    def of_job(self, owner: str, job_id: str) -> list[StoredNotice]:
        """Return the notices of a job."""
        return [stored for stored in self._of(owner) if stored.notice.job == job_id]

    def about(self, job: Job) -> Iterator[StoredNotice]:
        """Return the notices about a job: its own, or its batch's."""
        for stored in self._of(job.owner):
            if stored.notice.job == job.id or (
                stored.notice.batch is not None and stored.notice.batch == job.spec.batch
            ):
                yield stored

    def forget_job(self, owner: str, job_id: str) -> None:
        """Remove the notices of a job."""
        for stored in self.of_job(owner, job_id):
            del self._notices[owner, stored.notice.id]

    def forget_batch(self, owner: str, batch_id: str) -> bool:
        """Remove the notices of a batch; return whether there were any."""
        found = [stored for stored in self._of(owner) if stored.notice.batch == batch_id]
        for stored in found:
            del self._notices[owner, stored.notice.id]
        return bool(found)

    def shown(self, owner: str, viewer: str) -> list[Notice]:
        """Return a viewer's inbox, newest first."""
        muted = self._mutes.get((owner, viewer), set())
        return [
            transitions.as_seen_by(stored.notice, read_at=stored.read.get(viewer), mutes=muted)
            for stored in reversed(list(self._of(owner)))
            if viewer not in stored.dismissed
        ]

    def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        """Mark notices as read by a viewer; None means all."""
        self.mark([stored for stored in self._of(owner) if ids is None or stored.notice.id in ids], viewer, at)

    def mark(self, notices: Sequence[StoredNotice], viewer: str, at: float) -> None:
        """Mark unread notices as read."""
        unread = [stored for stored in notices if viewer not in stored.read]
        for stored in unread:
            stored.read[viewer] = at
        self._publish([transitions.notice_change(stored.notice) for stored in unread])

    def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        """Remove a notice from a viewer's inbox."""
        stored = self._notices.get((owner, notice_id))
        if stored is None or viewer in stored.dismissed:
            raise preconditions.no_such_notice(notice_id)
        stored.read.setdefault(viewer, at)
        stored.dismissed.add(viewer)
        self._publish([transitions.notice_change(stored.notice)])

    def mutes(self, owner: str, viewer: str) -> list[Mute]:
        """Return what a viewer has muted, sorted."""
        return sorted(self._mutes.get((owner, viewer), set()))

    def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        """Mute or unmute a notebook or thread for a viewer."""
        mine = self._mutes.setdefault((owner, viewer), set())
        if on == (mute in mine):
            return
        if on:
            mine.add(mute)
        else:
            mine.remove(mute)
        self._publish([Change(kind="notice", owner=owner, subject="")])

    def rename_thread(self, owner: str, name: str, new: str) -> bool:
        """Rename a thread in notices and mutes; return whether there were any."""
        mine = [stored for stored in self._of(owner) if stored.notice.job is not None]
        renamed = [stored for stored in mine if stored.notice.thread == name]
        for each in renamed:
            each.notice = msgspec.structs.replace(each.notice, thread=new)
        old, found = Mute(kind="thread", name=name), False
        for (whose, _), muted in self._mutes.items():
            if whose == owner and old in muted:
                muted.remove(old)
                muted.add(Mute(kind="thread", name=new))
                found = True
        return bool(renamed) or found

    def due_webhooks(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        """Return notices that are due for the webhook, and put them off until ``again``."""
        muted = [mute for (whose, _), mine in self._mutes.items() if whose == owner for mute in mine]
        due = [
            stored
            for stored in self._of(owner)
            if stored.call_at is not None and _is_call_due(stored.call_at, stored.notice.created_at, at=at)
        ]
        due.sort(key=lambda stored: stored.call_at or 0.0)
        wanted = []
        for stored in due[:limit]:
            known = stored.read or any(mutes(mute, stored.notice) for mute in muted)
            stored.call_at = None if known or stored.notice.created_at < since else again
            if stored.call_at is not None:
                wanted.append(stored.notice)
        return wanted

    def reschedule_webhook(self, owner: str, notice_id: str, *, again: float | None) -> None:
        """Put a notice off until this time; None: without limit."""
        if (stored := self._notices.get((owner, notice_id))) is not None:
            stored.call_at = again

    def _of(self, owner: str) -> Iterator[StoredNotice]:
        return (stored for stored in self._notices.values() if stored.notice.owner == owner)


def _is_call_due(call_at: float, created_at: float, *, at: float) -> bool:
    """Return whether a notice is due for the webhook.

    A notice is also due if a clock was set back: if it was never sent and is from the future, or was put off for longer
    than any delay.
    """
    first = abs(call_at - CALL_AFTER - created_at) < 0.001
    return call_at <= at or call_at > at + transitions.FARTHEST or (first and created_at > at)
