"""The store in one SQLite file, for any number of servers on one machine."""

from .store import SQLiteStore
from .temporary import TemporaryStore

__all__ = ["SQLiteStore", "TemporaryStore"]
