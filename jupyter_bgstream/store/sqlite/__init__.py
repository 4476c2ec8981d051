"""The store in one SQLite file, for any number of servers on one machine."""

from .store import SQLiteStore
from .temporary_store import TemporaryStore

__all__ = ["SQLiteStore", "TemporaryStore"]
