"""The queries of SQLite: each uses an index, and none reads more rows than needed."""

from contextlib import closing

import pytest
from store.database_files import written_by_hand
from store.factories import (
    ALL,
    DONE,
    HERE,
    OWNER,
    append,
    new_job,
    running,
    text_deltas,
)
from store.serving import opened

from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.store.port_values import Capacity
from jupyter_bgstream.store.sqlite import claim_selection, queries
from jupyter_bgstream.store.sqlite.connection import open_for_reading, open_for_writing
from jupyter_bgstream.store.sqlite.sql_files import QUERIES


class AnyValue(dict):
    def __missing__(self, name):
        return 1


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_valid_and_uses_index(db, name):
    plan = [row["detail"] for row in db.execute("EXPLAIN QUERY PLAN " + QUERIES[name], AnyValue())]
    small = ("revision", "set_revision", "use_place")  # one row, or one for each table that counts
    if name not in small:
        assert not [
            step
            for step in plan
            if step.startswith("SCAN")
            # A value; a job's thread and successors; a row each, or names of threads.
            and not step.startswith(("SCAN json_each", "SCAN related", "SCAN (subquery"))
            and "INDEX" not in step
            and "CONSTANT" not in step
        ], plan


def test_successor_is_found_by_its_own_index(db):
    """Otherwise a delete would read every job of the owner."""
    plan = " / ".join(row["detail"] for row in db.execute("EXPLAIN QUERY PLAN " + QUERIES["inherit"], AnyValue()))
    assert "owner=? AND previous=?" in plan


async def test_log_deleted_during_read_is_read_completely(database):
    async with opened(database) as store:
        job = await running(store)
        await append(store, job, text_deltas(*"abc"))
        await store.end(OWNER, job.id, DONE)
        with closing(open_for_reading(database)) as reader, written_by_hand(database) as other:
            # Between the look at the job and the look at its log.
            reader.set_trace_callback(
                lambda statement: "place BETWEEN" in statement and other.execute("DELETE FROM events")
            )
            assert len(queries.read_events(reader, job, after=0, max_bytes=ALL)) == 6
            assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
            assert not reader.in_transaction


@pytest.mark.parametrize("column", ["", "status", "thread", "notebook", "grp"])
def test_page_of_list_is_not_sorted(db, column):
    condition = f"AND {column} = 'x'" if column else ""
    query = f"SELECT * FROM whole_jobs WHERE owner = 'a' {condition} AND n < 9 ORDER BY n DESC LIMIT 3"
    plan = " / ".join(row["detail"] for row in db.execute("EXPLAIN QUERY PLAN " + query))
    assert "TEMP B-TREE" not in plan
    assert f"owner=?{f' AND {column}=?' if column else ''}" in plan


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("queued_of_lane", "jobs_queued (server=? AND batch=? AND owner=? AND lane=?)"),
        ("active_of_lane", "jobs_active_of_lane (owner=? AND lane=? AND status=? AND server=?)"),
        ("progress_of_batch", "jobs_active_of_lane (owner=? AND lane=? AND status=?)"),
        ("places_of_batch", "jobs_of_group_by_change (owner=? AND grp=? AND status_rev>?)"),
    ],
)
def test_query_of_large_batch_uses_ordered_index(db, name, index):
    plan = " / ".join(row["detail"] for row in db.execute("EXPLAIN QUERY PLAN " + QUERIES[name], AnyValue()))
    assert f"INDEX {index}" in plan
    assert "TEMP B-TREE" not in plan


async def test_claim_reads_no_more_jobs_of_batch_than_it_can_take(database):
    async with opened(database) as store:
        spec = BatchSpec(id="batch-rows", total=2000, concurrency=10)
        batch = Batch(spec=spec, owner=OWNER, total=2000, created_at=1.0)
        jobs = [new_job(f"batch-rows-{n}", batch="batch-rows", priority="bulk") for n in range(2000)]
        await store.submit_batch(batch, jobs, max_queued=2000)
    with closing(open_for_writing(database, patience=1.0)) as db:
        steps = [0]
        db.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 100)  # called each 100 steps of SQLite
        found, _ = claim_selection.choose(
            db, server=HERE, owner=None, room=Capacity(running=20, bulk=15, owner=99), limit=20, at=1.0
        )
        assert len(found) == 10
        assert steps[0] < 30
