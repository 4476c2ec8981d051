"""Pruning in the SQLite store: free pages are returned, and queries use indexes."""

import sqlite3
from contextlib import closing

import pytest
from store.factories import ALL, DONE, OWNER, ended
from store.serving import opened
from store.test_segments import long_job, tidied

from jupyter_bgstream.store.sqlite import maintenance
from jupyter_bgstream.store.sqlite.connection import open_for_writing
from jupyter_bgstream.store.sqlite.sql_files import QUERIES


async def test_file_shrinks_after_large_delete(database):
    async with opened(database) as store:
        await ended(store, "job-kept")
        job = await long_job(store, 60_000, per_row=2_000)
        await store.end(OWNER, job.id, DONE)
        await store.delete(OWNER, job.id)
        assert await tidied(store) > 3  # a step is small
        kept = await store.job(OWNER, "job-kept")
        assert len(await store.events(kept, after=0, max_bytes=ALL)) == 3
        shrunk = await store.size(owner=None) + maintenance.SPARE_PAGES * 4096
    assert database.stat().st_size <= shrunk + 4096


async def test_database_without_auto_vacuum_keeps_and_reuses_free_pages(database):
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("CREATE TABLE gone (n)")
        db.execute("DROP TABLE gone")
        db.commit()
    async with opened(database) as store:
        job = await long_job(store, 60_000, per_row=2_000)
        await store.end(OWNER, job.id, DONE)
        await store.delete(OWNER, job.id)
        assert await tidied(store) == 0
        assert await store.size(owner=None) < 1_000_000


@pytest.mark.parametrize(
    ("query", "values", "indexes"),
    [
        (
            "old_jobs",
            {"owner": None, "before": 1, "unread": 0, "limit": 1},
            ["job=?", "grp=?", "thread=?", "ended_at<?"],
        ),
        ("has_other_owners", {"owner": "ada"}, ["owner<?", "owner>?"]),
        ("bytes_of_owner", {"owner": "ada"}, ["owner=?", "rowid>? AND rowid<?"]),
        (
            "unfinished_jobs_of_owner",
            {"servers": "[]", "owner": "ada", "limit": 1},
            ["jobs_queued (server=? AND batch=? AND owner=?)", "jobs_active_of_lane (owner=?"],
        ),
        ("logs_to_pack", {"long": 1, "limit": 1}, ["jobs_to_pack", "jobs_unfinished"]),
    ],
)
def test_pruning_query_uses_index(database, query, values, indexes):
    with closing(open_for_writing(database, patience=5)) as db:
        plan = [row["detail"] for row in db.execute("EXPLAIN QUERY PLAN " + QUERIES[query], values)]
    for index in indexes:
        assert any(index in step for step in plan), plan
    assert not [step for step in plan if "INDEX notices" in step and "job=?" not in step and "grp=?" not in step]
