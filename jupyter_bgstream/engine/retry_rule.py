"""Back-off: whether and when a failed attempt is repeated."""

import random

from ..core.errors import BROKEN_OFF, ProviderError
from ..core.events import Waiting
from ..core.job import Job

FIRST_DELAY = 1.0  # seconds; doubled with each attempt
MAX_DELAY = 60.0  # seconds, unless the provider asks for more
MAX_JITTER = 10.0  # seconds
MAX_RETRY_AFTER = 3600.0  # seconds that a provider may ask for; beyond that the user should know at once


def next_attempt(job: Job, error: ProviderError, *, begun: bool, max_attempts: int, at: float) -> Waiting | None:
    """Return the ``Waiting`` event for the next attempt, or None if the failure is final.

    Args:
        job: the job, as claimed.
        error: of its last attempt.
        begun: whether that attempt yielded events. A new one is then paid for twice and discards their text, so it
            is made only for jobs with ``retry_policy: always``.
        max_attempts: of one job.
        at: now, in Unix seconds.

    """
    always = job.spec.retry_policy == "always"
    repeatable = error.transient or (always and error.code in BROKEN_OFF)
    if job.spec.retry_policy == "never" or (begun and not always) or not repeatable or job.attempt >= max_attempts:
        return None
    retry_after = error.retry_after or 0.0
    if retry_after > MAX_RETRY_AFTER:
        return None
    delay = max(retry_after, min(MAX_DELAY, FIRST_DELAY * 2 ** min(job.attempt - 1, 10)))
    # With jitter, so that jobs that were refused together do not return together.
    until = at + delay + random.uniform(0.0, min(MAX_JITTER, delay / 4))  # noqa: S311
    return Waiting(at=at, until=until, code=error.code, message=error.message)
