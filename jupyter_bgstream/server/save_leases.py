"""Save leases: elect the one page that saves an ended answer into a document that several pages share."""

import time
from collections.abc import Callable

LEASE_SECONDS = 10.0  # for the elected page to save; after that it may be frozen
MAX_LEASES = 1000  # of one page

LeaseKey = tuple[str, str, str]  # owner, document, id of the job or the batch


class SaveLeases:
    """The leases of one server, in memory: pages that save twice after a restart save the same text."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leases: dict[LeaseKey, tuple[object, float]] = {}  # page, and monotonic seconds of the expiry

    def acquire(self, page: object, key: LeaseKey) -> bool:
        """Give the lease to a page unless another page has it; return whether the page has it now."""
        now = self._clock()
        holder, until = self._leases.get(key, (page, 0.0))
        if holder is not page and until > now:
            return False
        held = [other for other, (holder, _) in self._leases.items() if holder is page]
        if len(held) >= MAX_LEASES:
            del self._leases[held[0]]
        self._leases[key] = (page, now + LEASE_SECONDS)
        return True

    def release(self, page: object) -> None:
        """Release all leases of a page that has disconnected."""
        self._leases = {key: lease for key, lease in self._leases.items() if lease[0] is not page}
