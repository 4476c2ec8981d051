"""One suite, every store."""

import importlib
from pathlib import Path

import pytest
from store.contract.suite import StoreContract
from store.factories import HERE
from store.model import MemoryStore
from store.serving import opened


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


def test_failed_contract_assertion_shows_its_values():
    for path in Path(__file__).with_name("contract").glob("*.py"):
        assert "@pytest_ar" in vars(importlib.import_module(f"store.contract.{path.stem}")), path.name
