"""One suite, every store."""

import pytest
from store.serving import opened

from jupyter_bgstream.testing.memory_store import MemoryStore
from jupyter_bgstream.testing.store_contract import HERE, StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self):
        store = MemoryStore(server=HERE)
        await store.open()
        yield store
        await store.close()


class TestSQLite(StoreContract):
    @pytest.fixture
    async def store(self, database, journal):
        async with opened(database, journal=journal, missing=0.0) as store:
            yield store
