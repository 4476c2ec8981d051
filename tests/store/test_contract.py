"""One suite, every store."""

import pytest

from jupyter_bgstream.store.memory import MemoryStore
from jupyter_bgstream.store.sqlite import SQLiteStore
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
    async def store(self, tmp_path):
        store = SQLiteStore(tmp_path / "jobs.sqlite", server=HERE)
        await store.open()
        yield store
        await store.close()
