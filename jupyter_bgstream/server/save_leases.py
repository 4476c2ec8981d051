"""Who writes the end of an answer into a document that several pages share: one page at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

LEASE_SECONDS = 10.0  # in which the elected page writes; after that it may have frozen
MAX_LEASES = 1000  # of one page

Wanted = tuple[str, str, str]  # owner, document, id of the job or the group


class SaveLeases:
    """The leases of one server, in memory: whoever writes twice after a restart writes the same."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leases: dict[Wanted, tuple[object, float]] = {}  # who has it, and until when

    def elect(self, page: object, wanted: Wanted) -> bool:
        """Give the lease to ``page`` if nobody else has it; returns whether it has it now."""
        now = self._clock()
        holder, until = self._leases.get(wanted, (page, 0.0))
        if holder is not page and until > now:
            return False
        mine = [key for key, (each, _) in self._leases.items() if each is page]
        if len(mine) >= MAX_LEASES:
            del self._leases[mine[0]]
        self._leases[wanted] = (page, now + LEASE_SECONDS)
        return True

    def leave(self, page: object) -> None:
        """Take its leases from a page that has gone."""
        self._leases = {wanted: lease for wanted, lease in self._leases.items() if lease[0] is not page}
