"""What the engine must do, said a second time and simply: plain dicts, no log, no tasks, no transactions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_ATTEMPTS = 3
MAX_RUNNING = 3
MAX_BULK = 2
MAX_QUEUED = 8
BROKEN_OFF = ("truncated",)
VIEWERS = ("", "eve")


@dataclass
class ModelJob:
    """What is known of a job."""

    id: str
    server: str
    at: int  # its place in the order of submits
    spec: dict[str, Any]
    status: str = "queued"
    attempt: int = 0
    text: str = ""
    earlier: list[tuple[int, str]] = field(default_factory=list)
    begun: bool = False
    usage: int | None = None
    code: str | None = None
    due: float = 0.0
    waits: int = 0  # how often it was put off
    batch: str | None = None
    retry_of: str | None = None
    retried_by: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled", "interrupted")


@dataclass
class ModelBatch:
    """What is known of a batch."""

    total: int
    announced: int
    members: list[str] = field(default_factory=list)  # those that count: of a job and its retries the newest
    submitted: int = 0


@dataclass
class ModelServer:
    """A server: it runs, is suspended, or is dead."""

    knows: tuple[str, ...]
    alive: bool = True
    suspended: bool = False


@dataclass
class ModelNotice:
    """One notice, and who did what with it."""

    status: str
    notebook: str | None
    read: set[str] = field(default_factory=set)
    dismissed: set[str] = field(default_factory=set)


class Model:
    """All that should be. Methods take what was asked for, and change it as the engine should."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: dict[str, ModelJob] = {}
        self.batches: dict[str, ModelBatch] = {}
        self.servers: dict[str, ModelServer] = {}
        self.notices: dict[str, ModelNotice] = {}  # by the id of the job or the batch
        self.mutes: dict[str, set[str]] = {viewer: set() for viewer in VIEWERS}  # notebooks

    # What users do

    def submit(self, server: str, job_id: str, spec: dict[str, Any]) -> str:
        if job_id in self.jobs:
            return "same" if self._is_same(job_id, spec) else "conflict"
        if self._unfinished() >= MAX_QUEUED:
            return "queue_full"
        self.jobs[job_id] = ModelJob(job_id, server, len(self.jobs), spec)
        return "new"

    def retry(self, server: str, job_id: str, new_id: str | None) -> str:
        """``new_id``: what the engine answered; it makes ids itself."""
        asked = self.jobs[job_id]
        if not asked.ended:
            return "not_ended"
        if asked.retried_by is not None:
            return "same"
        if self._unfinished() >= MAX_QUEUED:
            return "queue_full"
        assert new_id is not None
        self.jobs[new_id] = ModelJob(new_id, server, len(self.jobs), asked.spec, retry_of=job_id, batch=asked.batch)
        asked.retried_by = new_id
        for batch_id, batch in self.batches.items():
            if job_id in batch.members:
                batch.members[batch.members.index(job_id)] = new_id
                self.notices.pop(batch_id, None)  # it runs again
        return "new"

    def submit_batch(self, server: str, batch_id: str, total: int, jobs: list[tuple[str, dict[str, Any]]]) -> str:
        batch = self.batches.get(batch_id)
        if batch is not None and total != batch.announced:
            return "conflict"
        new = [(job_id, spec) for job_id, spec in jobs if job_id not in self.jobs]
        known = [(job_id, spec) for job_id, spec in jobs if job_id in self.jobs]
        if not all(self._is_same(job_id, spec) and self.jobs[job_id].batch == batch_id for job_id, spec in known):
            return "conflict"
        there, room = (batch.submitted, batch.total) if batch else (0, total)
        if there + len(new) > room:
            return "batch_full"
        if new and self._unfinished() + len(new) > MAX_QUEUED:
            return "queue_full"
        if batch is None:
            batch = self.batches[batch_id] = ModelBatch(total, announced=total)
        for job_id, spec in new:
            self.jobs[job_id] = ModelJob(job_id, server, len(self.jobs), spec, batch=batch_id)
            batch.members.append(job_id)
        batch.submitted += len(new)
        return "new"

    def cancel(self, job_id: str) -> None:
        if not self.jobs[job_id].ended:
            self._end(self.jobs[job_id], "cancelled")

    def cancel_batch(self, batch_id: str) -> None:
        batch = self.batches[batch_id]
        batch.total = batch.submitted
        for member in batch.members:
            if not self.jobs[member].ended:
                self.jobs[member].status, self.jobs[member].code = "cancelled", None

    def mark(self, viewer: str, ids: list[str] | None) -> None:
        for key, notice in self.notices.items():
            if viewer not in notice.dismissed and (ids is None or key in ids):
                notice.read.add(viewer)

    # What providers do

    def say(self, job_id: str, text: str) -> None:
        job = self.jobs[job_id]
        job.text, job.begun = job.text + text, True

    def finish(self, job_id: str) -> None:
        self._end(self.jobs[job_id], "completed")

    def fail(self, job_id: str, code: str, *, transient: bool, retry_after: float) -> None:
        job = self.jobs[job_id]
        policy = job.spec["retry_policy"]
        once_more = {
            "never": False,
            "before_first_token": transient and not job.begun,
            "always": transient or code in BROKEN_OFF,
        }[policy]
        if not once_more or job.attempt == MAX_ATTEMPTS or retry_after > 3600:
            self._end(job, "failed", code)
        else:
            delay = max(retry_after, min(60.0, 2.0 ** (job.attempt - 1)))
            self._wait(job, code, self.now + delay + min(10.0, delay / 4))

    # What servers do

    def is_ready(self, job: ModelJob) -> bool:
        server = self.servers[job.server]
        waits = job.status == "queued" or (job.status == "waiting" and job.due <= self.now)
        if not (waits and server.alive and not server.suspended):
            return False
        running = [other for other in self.jobs.values() if other.status == "running" and other.server == job.server]
        bulk = sum(other.spec["priority"] == "bulk" for other in running)
        return len(running) < MAX_RUNNING and (job.spec["priority"] != "bulk" or bulk < MAX_BULK)

    def start(self, job: ModelJob) -> None:
        job.attempt += 1
        if job.text:
            job.earlier.append((job.attempt - 1, job.text))
        job.status, job.text, job.begun, job.usage, job.code = "running", "", False, None, None
        if not self._knows(job.server, job):
            self.fail(job.id, "unknown_provider", transient=False, retry_after=0)

    def stop(self, name: str) -> None:
        """Stop a server in good order."""
        self.servers[name].alive = False
        for job in self.jobs.values():
            if job.server == name and job.status == "running":
                self._hand_on(job, "server_stopped")

    def look(self, name: str) -> None:
        """Look after the jobs of the dead."""
        for job in self.jobs.values():
            if job.ended or self.servers[job.server].alive:
                continue
            goes_on = job.status != "running" or self._may_go_on(job)
            if not goes_on:
                self._end(job, "interrupted", "server_died")
            elif not self._knows(name, job):
                if job.code != "no_provider":
                    self._wait(job, "no_provider", self.now)
            else:
                job.server = name
                if job.status == "running":
                    self._wait(job, "server_died", self.now)

    # What everybody sees

    def batch_view(self, batch_id: str) -> tuple[str, int, int, dict[str, int]]:
        batch = self.batches[batch_id]
        counts = Counter(self.jobs[member].status for member in batch.members if self.jobs[member].ended)
        status = "running" if batch.submitted else "queued"
        if sum(counts.values()) >= batch.total:
            status = next((worst for worst in ("failed", "interrupted", "cancelled") if counts[worst]), "completed")
        return status, batch.total, batch.submitted, dict(counts)

    def inbox(self, viewer: str) -> list[tuple[str, str, bool, bool]]:
        """Return (id, status, read, muted)."""
        return sorted(
            (key, notice.status, viewer in notice.read, notice.notebook in self.mutes[viewer])
            for key, notice in self.notices.items()
            if viewer not in notice.dismissed
        )

    def _is_same(self, job_id: str, spec: dict[str, Any]) -> bool:
        return all(self.jobs[job_id].spec[name] == spec[name] for name in ("prompt", "model"))

    def _unfinished(self) -> int:
        return sum(not job.ended for job in self.jobs.values())

    def _knows(self, server: str, job: ModelJob) -> bool:
        return job.spec["model"].partition("/")[0] in self.servers[server].knows

    def _may_go_on(self, job: ModelJob) -> bool:
        return job.spec["on_restart"] == "retry" and job.attempt < MAX_ATTEMPTS

    def _hand_on(self, job: ModelJob, code: str) -> None:
        if self._may_go_on(job):
            self._wait(job, code, self.now)
        else:
            self._end(job, "interrupted", code)

    @staticmethod
    def _wait(job: ModelJob, code: str, due: float) -> None:
        job.status, job.code, job.due = "waiting", code, due
        job.waits += 1

    def _end(self, job: ModelJob, status: str, code: str | None = None) -> None:
        job.status, job.code = status, code
        for batch_id, batch in self.batches.items():
            if job.id in batch.members:
                ended = [member for member in batch.members if self.jobs[member].ended]
                every = all(self.jobs[member].status == "cancelled" for member in ended)
                if len(ended) >= batch.total and not every:
                    self.notices[batch_id] = ModelNotice(self.batch_view(batch_id)[0], None)
                return
        if status != "cancelled":
            self.notices[job.id] = ModelNotice(status, job.spec["notebook"])
