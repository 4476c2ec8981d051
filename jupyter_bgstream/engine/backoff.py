"""When a try that failed is made again."""

from __future__ import annotations

import random

from ..core.errors import BROKEN_OFF, ProviderError
from ..core.events import Waiting
from ..core.job import Job

FIRST_DELAY = 1.0  # seconds; doubled with each try
LONGEST_DELAY = 60.0  # seconds, unless the provider asks for more
LONGEST_JITTER = 10.0  # seconds
LONGEST_WAIT = 3600.0  # seconds that a provider may ask for; a user who waits longer wants to know now


def put_off(job: Job, error: ProviderError, *, begun: bool, max_attempts: int, at: float) -> Waiting | None:
    """Return when the next try is; None if there is none.

    ``begun``: this try has said something. Then a new one is paid for twice and sets aside what was said, so it is only
    made for a job that asks for it.
    """
    always = job.spec.retries == "always"
    again = error.transient or (always and error.code in BROKEN_OFF)
    if job.spec.retries == "never" or (begun and not always) or not again or job.attempt >= max_attempts:
        return None
    wish = error.retry_after or 0.0
    if wish > LONGEST_WAIT:
        return None
    delay = max(wish, min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(job.attempt - 1, 10)))
    # A little later, so that those who were refused together do not come back together.
    until = at + delay + random.uniform(0.0, min(LONGEST_JITTER, delay / 4))  # noqa: S311
    return Waiting(at=at, until=until, code=error.code, message=error.message)
