"""When a batch is paused: its jobs fail with the same code, and the next would fail as well, free or paid."""

from __future__ import annotations

import msgspec

from .job import Job

AT_FIRST = 5  # ended jobs since the start or resumption of the batch, if all failed with the same code
IN_A_ROW = 10  # consecutive ended jobs with the same code, later

# Codes that the next job would meet as well. PROTOCOL.md has the same table. Any other code is temporary or concerns a
# single row.
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
    """Why a batch is paused: the code and message of the last failed job."""

    code: str
    message: str
    at: float  # Unix seconds


class Streak(msgspec.Struct, frozen=True, kw_only=True):
    """The latest ended jobs of a batch that failed with the same code."""

    ended: int = 0  # jobs since the start or resumption of the batch
    alike: int = 0  # the latest of them, which failed with this code
    code: str = ""

    def plus(self, job: Job) -> Streak:
        """Return the streak with one more ended job; cancelled and interrupted jobs do not count."""
        if job.status not in ("completed", "failed"):
            return self
        code = job.error.code if job.status == "failed" and job.error is not None else ""
        if code not in PAUSING:
            return Streak(ended=self.ended + 1)
        return Streak(ended=self.ended + 1, alike=self.alike + 1 if code == self.code else 1, code=code)

    def pause(self, job: Job) -> Paused | None:
        """Return why the batch is paused after this job, the last of the streak; None if it is not paused."""
        if job.error is None or job.ended_at is None or job.error.code != self.code:
            return None
        if self.alike < (AT_FIRST if self.alike == self.ended else IN_A_ROW):
            return None
        return Paused(code=job.error.code, message=job.error.message, at=job.ended_at)
