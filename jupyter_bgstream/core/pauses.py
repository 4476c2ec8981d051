"""When a group pauses: its jobs fail alike, and the next would fail alike too, for nothing or for money."""

from __future__ import annotations

import msgspec

from .job import Job

AT_FIRST = 5  # jobs that have ended, all alike, since the group began or was resumed
IN_A_ROW = 10  # of any

# What the next job would meet too. PROTOCOL.md has the same table; whatever is not here passes by itself or is of one
# row alone.
PAUSING = {
    "unauthorized": "The service refuses the key.",
    "missing_key": "There is no key to send.",
    "unknown_provider": "No provider has this name.",
    "invalid_config": "The provider cannot be used as it is set up.",
    "model_not_found": "The service does not have the model.",
    "bad_request": "The service refuses what all rows have in common; some say so of an account without money.",
    "rate_limited": "The quota is used up, or the service refused each of many tries.",
    "tls_error": "The connection is not trusted.",
    "truncated": "Answers that break off are paid for.",
    "malformed_stream": "Answers that cannot be read are paid for.",
    "idle_timeout": "Answers that stall are paid for.",
    "total_timeout": "Answers that take too long are paid for.",
    "event_too_large": "Answers that are dropped are paid for.",
    "answer_too_long": "Answers that are cut off are paid for.",
    "not_stored": "Answers that cannot be stored are paid for.",
    "internal": "Answers that are lost here are paid for.",
}


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a group is paused: the code and the message of the job that was one too many."""

    code: str
    message: str
    at: float  # Unix seconds


class Streak(msgspec.Struct, frozen=True, kw_only=True):
    """What the last jobs of a group that have ended have in common."""

    ended: int = 0  # jobs since the group began or was resumed
    alike: int = 0  # the last of them, which failed with this code
    code: str = ""

    def plus(self, job: Job) -> Streak:
        """Return it with one more ended job; one that was stopped, or whose server was, says nothing."""
        if job.status not in ("completed", "failed"):
            return self
        code = job.error.code if job.status == "failed" and job.error is not None else ""
        if code not in PAUSING:
            return Streak(ended=self.ended + 1)
        return Streak(ended=self.ended + 1, alike=self.alike + 1 if code == self.code else 1, code=code)

    def pause(self, job: Job) -> Paused | None:
        """Return why the group is to be paused with this job, the last of the streak; None if it is not."""
        if job.error is None or job.ended_at is None or job.error.code != self.code:
            return None
        if self.alike < (AT_FIRST if self.alike == self.ended else IN_A_ROW):
            return None
        return Paused(code=job.error.code, message=job.error.message, at=job.ended_at)
