"""Write operations on notices, mutes and webhook calls in one transaction."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from ...core.codec import encode
from ...core.notices import CALL_AFTER, Mute, Notice, mutes
from .. import preconditions, transitions
from ..port_values import Change
from . import queries
from .rows import notice_from
from .sql_files import run


class InboxTransaction:
    """The part of a ``Transaction`` for notices."""

    def __init__(self, db: sqlite3.Connection, rev: int) -> None:
        self.rev = rev
        self.changes: list[Change] = []
        self._db = db

    def finish(self) -> None:
        """Write the number of this transaction if it has changes to publish."""
        if self.changes:
            self._do("set_revision", rev=self.rev)

    def mark_read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        """Mark notices as read by a viewer; None means all."""
        if ids is None:
            unread = self._do("unread_notices", owner=owner, viewer=viewer)
        else:
            unread = self._do("unread_notices_among", owner=owner, viewer=viewer, ids=encode(ids).decode())
        self._mark_read(unread.fetchall(), owner, viewer, at)

    def mark_seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        """Mark the notice of an ended job as read if its end was seen."""
        _, job = queries.find_job(self._db, owner, job_id)
        if job.ended and seq >= job.seq:
            unread = self._do("unread_notices_of_job", owner=owner, viewer=viewer, id=job_id)
            self._mark_read(unread.fetchall(), owner, viewer, at)

    def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        """Remove a notice from a viewer's inbox."""
        notice = self._one("shown_notice", owner=owner, viewer=viewer, id=notice_id)
        if notice is None:
            raise preconditions.no_such_notice(notice_id)
        self._do("mark_dismissed", n=notice["n"], viewer=viewer, at=at)
        self._tell_notice(owner, notice)

    def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        """Mute or unmute a notebook or thread for a viewer."""
        if self._one("is_muted", owner=owner, viewer=viewer, kind=mute.kind, name=mute.name)[0] != on:
            self._do("mute", owner=owner, viewer=viewer, kind=mute.kind, name=mute.name, on=on, rev=self.rev)
            self.changes.append(Change(kind="notice", owner=owner, subject=""))

    def due_webhooks(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        """Return notices that are due for the webhook, and put them off until ``again``."""
        muted = [
            Mute(kind=row["kind"], name=row["name"]) for row in self._do("everybodys_mutes", owner=owner).fetchall()
        ]
        wanted = []
        due = {"at": at, "farthest": at + transitions.FARTHEST, "call_after": CALL_AFTER, "limit": limit}
        for row in self._do("due_webhooks", owner=owner, **due).fetchall():
            notice = notice_from(row)
            known = row["known"] or any(mutes(mute, notice) for mute in muted)
            drop = known or notice.created_at < since
            self._do("put_call_off", n=row["n"], call_at=None if drop else again)
            if not drop:
                wanted.append(notice)
        return wanted

    def reschedule_webhook(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        """Put a notice off until this time; None: without limit."""
        self._do("set_call_at", owner=owner, id=notice_id, call_at=again)

    def _put_notice(self, notice: Notice) -> None:
        if notice.batch is not None:  # a batch that ends again, after a retry, has one notice
            self._forget_notices(notice.owner, notice.batch)
        columns = {"owner": notice.owner, "id": notice.id, "job": notice.job or "", "batch": notice.batch}
        call_at = notice.created_at + CALL_AFTER
        self._do("insert_notice", **columns, body=encode(notice), call_at=call_at, rev=self.rev)
        self.changes.append(transitions.notice_change(notice))

    def _forget_notices(self, owner: str, batch_id: str) -> bool:
        self._do("delete_marks_of_batch", owner=owner, id=batch_id)
        return self._do("delete_notices_of_batch", owner=owner, id=batch_id).rowcount > 0

    def _mark_read(self, notices: Sequence[sqlite3.Row], owner: str, viewer: str, at: float) -> None:
        for notice in notices:
            self._do("mark_read", n=notice["n"], viewer=viewer, at=at)
            self._tell_notice(owner, notice)

    def _tell_notice(self, owner: str, notice: sqlite3.Row) -> None:
        self._do("touch_notice", n=notice["n"], rev=self.rev)
        self.changes.append(Change(kind="notice", owner=owner, subject=notice["job"]))

    def _do(self, name: str, /, **values: Any) -> sqlite3.Cursor:
        return run(self._db, name, **values)

    def _one(self, name: str, /, **values: Any) -> Any:
        return self._do(name, **values).fetchone()
