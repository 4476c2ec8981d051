"""The reference model of the store, for contract and property tests."""

from .store import MemoryStore

__all__ = ["MemoryStore"]
