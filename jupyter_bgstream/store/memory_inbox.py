"""The inbox of the store that keeps nothing: notices, what viewers did with them, mutes and calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from ..core.job import Job
from ..core.notices import CALL_AFTER, Mute, Notice, mutes
from . import transitions
from .base import Change


@dataclass
class NoticeState:
    """A notice, and what each viewer did with it."""

    notice: Notice
    call_at: float | None  # Unix seconds
    read: dict[str, float] = field(default_factory=dict)  # viewer: Unix seconds
    dismissed: set[str] = field(default_factory=set)  # viewers, who have read it too


class MemoryInbox:
    """All notices of an open store, in the order of arrival. ``publish`` is told what changed."""

    def __init__(self, publish: Callable[[Sequence[Change]], None]) -> None:
        self._publish = publish
        self._told: dict[tuple[str, str], NoticeState] = {}
        self._mutes: dict[tuple[str, str], set[Mute]] = {}  # by owner and viewer

    def put(self, notice: Notice) -> None:
        """Add a notice."""
        if notice.group is not None:  # a group that ends again, after a retry, has one notice all the same
            self.forget_group(notice.owner, notice.group)
        self._told[notice.owner, notice.id] = NoticeState(notice, call_at=notice.created_at + CALL_AFTER)

    def of_job(self, owner: str, job_id: str) -> list[NoticeState]:
        """Return the notices of a job."""
        return [told for told in self._of(owner) if told.notice.job == job_id]

    def about(self, job: Job) -> Iterator[NoticeState]:
        """Return the notices that tell of a job: its own, or its group's."""
        for told in self._of(job.owner):
            if told.notice.job == job.id or (told.notice.group is not None and told.notice.group == job.spec.group):
                yield told

    def forget_job(self, owner: str, job_id: str) -> None:
        """Remove the notices of a job."""
        for told in self.of_job(owner, job_id):
            del self._told[owner, told.notice.id]

    def forget_group(self, owner: str, group_id: str) -> bool:
        """Remove the notices of a group; returns whether there were any."""
        found = [told for told in self._of(owner) if told.notice.group == group_id]
        for told in found:
            del self._told[owner, told.notice.id]
        return bool(found)

    def shown(self, owner: str, viewer: str) -> list[Notice]:
        """Return a viewer's inbox, newest first."""
        muted = self._mutes.get((owner, viewer), set())
        return [
            transitions.as_seen_by(told.notice, read_at=told.read.get(viewer), mutes=muted)
            for told in reversed(list(self._of(owner)))
            if viewer not in told.dismissed
        ]

    def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        """Mark a viewer's notices read; None means all."""
        self.mark([told for told in self._of(owner) if ids is None or told.notice.id in ids], viewer, at)

    def mark(self, notices: Sequence[NoticeState], viewer: str, at: float) -> None:
        """Mark notices read that are not."""
        unread = [told for told in notices if viewer not in told.read]
        for told in unread:
            told.read[viewer] = at
        self._publish([transitions.told(told.notice) for told in unread])

    def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        """Take a notice out of a viewer's inbox; raises NotFoundError."""
        told = self._told.get((owner, notice_id))
        if told is None or viewer in told.dismissed:
            raise transitions.no_such_notice(notice_id)
        told.read.setdefault(viewer, at)
        told.dismissed.add(viewer)
        self._publish([transitions.told(told.notice)])

    def mutes(self, owner: str, viewer: str) -> list[Mute]:
        """Return what a viewer has muted, sorted."""
        return sorted(self._mutes.get((owner, viewer), set()))

    def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        """Change what a viewer wants to be called for."""
        mine = self._mutes.setdefault((owner, viewer), set())
        if on == (mute in mine):
            return
        if on:
            mine.add(mute)
        else:
            mine.remove(mute)
        self._publish([Change(kind="notice", owner=owner, job="")])

    def rename_thread(self, owner: str, name: str, new: str) -> bool:
        """Let notices and mutes of a thread bear its new name; returns whether there were any."""
        told = [told for told in self._of(owner) if told.notice.job is not None and told.notice.thread == name]
        for each in told:
            each.notice = msgspec.structs.replace(each.notice, thread=new)
        old, found = Mute(kind="thread", name=name), False
        for (whose, _), mine in self._mutes.items():
            if whose == owner and old in mine:
                mine.remove(old)
                mine.add(Mute(kind="thread", name=new))
                found = True
        return bool(told) or found

    def due_calls(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        """Return notices to call for that nobody has seen or muted, and put them off until ``again``."""
        everybodys = [mute for (whose, _), mine in self._mutes.items() if whose == owner for mute in mine]
        due = [
            told
            for told in self._of(owner)
            if told.call_at is not None and transitions.is_call_due(told.call_at, told.notice.created_at, at=at)
        ]
        due.sort(key=lambda told: told.call_at or 0.0)
        wanted = []
        for told in due[:limit]:
            known = told.read or any(mutes(mute, told.notice) for mute in everybodys)
            told.call_at = None if known or told.notice.created_at < since else again
            if told.call_at is not None:
                wanted.append(told.notice)
        return wanted

    def called(self, owner: str, notice_id: str, *, again: float | None) -> None:
        """Call for a notice again at this time, or never."""
        if (told := self._told.get((owner, notice_id))) is not None:
            told.call_at = again

    def _of(self, owner: str) -> Iterator[NoticeState]:
        return (told for told in self._told.values() if told.notice.owner == owner)
