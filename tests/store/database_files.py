"""Files of databases: filled, refused, written past the store, or on a disk that is full or read-only."""

import sqlite3
import sys
from contextlib import closing, contextmanager

import pytest
from store.factories import HERE, append, running, text_deltas
from store.serving import opened

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import SQLiteStore

if sys.platform != "win32":
    import resource

posix = pytest.mark.skipif(sys.platform == "win32", reason="limits, modes and signals are POSIX")


async def refused(path, **options):
    with pytest.raises(UnavailableError) as caught:
        await SQLiteStore(path, server=HERE, **options).open()
    return caught.value.message


@contextmanager
def limited_file(store, path):
    """Let no file of this process grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [part.stat().st_size for part in path.parent.glob(path.name + "*") if part.is_file()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def limited_pages(store, path):
    """Let SQLite find the disk full."""
    db = store._parts.writer._db  # idle meanwhile
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (before,) = db.execute("PRAGMA max_page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA max_page_count = {before}")


@contextmanager
def read_only(store, path):
    """Let SQLite find the file read-only."""
    db = store._parts.writer._db
    db.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        db.execute("PRAGMA query_only = OFF")


async def filled(path, **options):
    """Write a database of some pages and close it."""
    async with opened(path, **options) as store:
        job = await running(store)
        for n in range(50):
            await append(store, job, text_deltas(f"{n} " * 2000))
    return job


@contextmanager
def written_by_hand(database):
    """Open a connection past the store."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        yield db
