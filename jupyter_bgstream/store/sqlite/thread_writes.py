"""Write operations on threads in one transaction."""

from ...core.codec import encode
from ...core.events import Cancelled, Event
from ...core.job import Job
from ...core.threads import Fork
from ..port_values import Change
from ..threads import check_free, no_such_thread
from .inbox_writes import InboxTransaction


class ThreadTransaction(InboxTransaction):
    """The part of a ``Transaction`` for threads; the subclass ends and deletes jobs."""

    def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        """End a job."""
        raise NotImplementedError

    def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        """Delete an ended job."""
        raise NotImplementedError

    def fork(self, fork: Fork) -> None:
        """Store the conversation that a new thread begins with."""
        check_free(fork.name, used=self._is_thread(fork.owner, fork.name))
        place = self._one("use_place")
        if place is None:  # no job was ever stored
            self._do("first_place")
            place = (1,)
        self._do(
            "insert_fork",
            n=place[0],
            owner=fork.owner,
            name=fork.name,
            origin=fork.origin,
            model=fork.model,
            title=fork.title,
            messages=encode(fork.conversation.messages),
            turns=encode(fork.conversation.turns),
            created_at=fork.created_at,
            touched_at=fork.touched_at,
        )

    def rename_thread(self, owner: str, name: str, new: str) -> None:
        """Rename a thread in its jobs, notices, mutes and forks."""
        if not self._is_thread(owner, name):
            raise no_such_thread(name)
        if name == new:
            return
        check_free(new, used=self._is_thread(owner, new))
        names = {"owner": owner, "name": name, "new": new}
        jobs = self._do("jobs_of_thread", owner=owner, thread=name).fetchall()
        self._do("rename_thread", **names, rev=self.rev)
        renamed = self._do("rename_in_notices", owner=owner, new=new, rev=self.rev).rowcount
        renamed += self._do("mute_new_name", **names, rev=self.rev).rowcount
        self._do("unmute_old_name", owner=owner, name=name, rev=self.rev)
        self._do("rename_fork", **names)
        self._do("rename_origin", **names)
        self.changes += [
            Change(kind="job", owner=owner, subject=row["id"], status=row["status"], seq=row["seq"]) for row in jobs
        ]
        if renamed > 0:
            self.changes.append(Change(kind="notice", owner=owner, subject=""))

    def delete_thread(self, owner: str, name: str, event: Cancelled) -> list[Job]:
        """Cancel and delete all jobs of a thread, and its fork."""
        if not self._is_thread(owner, name):
            raise no_such_thread(name)
        cancelled = []
        # The newest first: each is then the last of its thread, and no job inherits a predecessor.
        for row in reversed(self._do("jobs_of_thread", owner=owner, thread=name).fetchall()):
            job, won = self.end(owner, row["id"], event, fence=None, log=None)
            if won:
                cancelled.append(job)
            self.delete(owner, row["id"])
        self._do("delete_fork", owner=owner, name=name)
        self._do("rename_origin", owner=owner, name=name, new=None)
        return cancelled

    def forget_forks(self, *, owner: str | None, before: float) -> int:
        """Delete forks without jobs that were not touched since."""
        return self._do("forget_forks", owner=owner, before=before).rowcount

    def _is_thread(self, owner: str, name: str) -> bool:
        return bool(self._one("is_thread", owner=owner, thread=name)[0])
