"""The reference model of the store: dicts in one process, written to be read and compared with."""

from __future__ import annotations

from store.model.batches import MemoryBatches
from store.model.maintenance import MemoryMaintenance
from store.model.notices import MemoryNotices
from store.model.threads import MemoryThreads


class MemoryStore(MemoryBatches, MemoryThreads, MemoryNotices, MemoryMaintenance):
    """Keeps everything in dicts until it is closed. The ``Store`` protocol documents the methods.

    Args:
        server: This server's id: unfinished jobs of all other servers count as abandoned. None: no server is dead.
    """
