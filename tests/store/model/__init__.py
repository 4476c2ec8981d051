"""The reference model of the store, for contract and property tests."""

from store.model.store import MemoryStore

__all__ = ["MemoryStore"]
