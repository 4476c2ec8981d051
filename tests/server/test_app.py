"""Settings reach the store, and unfinished jobs count as work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine.conftest import Puppet
from store.factories import HERE, OWNER, THERE, append, claim, submit
from store.model import MemoryStore
from traitlets import TraitError

from jupyter_bgstream.core.events import Waiting
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.server import app
from jupyter_bgstream.server.app import BgStreamApp
from jupyter_bgstream.server.base import MAX_PAGE
from jupyter_bgstream.server.culler_activity import has_work
from jupyter_bgstream.store.sqlite import TemporaryStore

DEFAULTS: dict[str, Any] = {"full": False, "journal": None, "host": None}


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({}, {}),
        ({"database_full_sync": True}, {"full": True}),
        ({"database_journal": "rollback", "database_host": "ada-lab"}, {"journal": "rollback", "host": "ada-lab"}),
        ({"database_journal": "wal"}, {"journal": "wal"}),
    ],
)
def test_database_settings_reach_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, Any], reached: dict[str, Any]
) -> None:
    asked: list[tuple[Path, dict[str, Any]]] = []
    monkeypatch.setattr(app, "SQLiteStore", lambda path, **given: asked.append((path, given)))
    BgStreamApp(database=str(tmp_path / "x.sqlite"), **settings)._open_store("here")
    assert asked == [(tmp_path / "x.sqlite", {"server": "here", **DEFAULTS, **reached})]


def test_temporary_setting_creates_temporary_store() -> None:
    store = BgStreamApp(store="temporary")._open_store("here")
    assert (type(store), store.kind, store.path) == (TemporaryStore, "temporary", None)


def test_memory_store_is_refused_with_its_replacement() -> None:
    with pytest.raises(TraitError, match="Use 'temporary'"):
        BgStreamApp(store="memory")
    with pytest.raises(TraitError, match="sqlite"):
        BgStreamApp(store="postgres")


async def test_queued_or_waiting_job_of_this_server_counts_as_work() -> None:
    store = MemoryStore(server=HERE)
    engine = Engine(store=store, providers=Puppet(), server=HERE)  # not open: nothing is claimed but by us
    await store.open()
    await submit(store, "job-0001", server=THERE)
    assert not await has_work(engine, OWNER)
    await submit(store, "job-0002")
    assert await has_work(engine, OWNER)
    (job,) = await claim(store)
    assert not await has_work(engine, OWNER)  # as the scheduler sees it: nothing runs here
    await append(store, job, [Waiting(at=21.0, until=1e9, code="rate_limited", message="Later.")])
    assert await has_work(engine, OWNER)
    await store.close()
    assert not await has_work(engine, OWNER)


async def test_newer_jobs_of_another_server_hide_no_work() -> None:
    store = MemoryStore(server=HERE)
    engine = Engine(store=store, providers=Puppet(), server=HERE)
    await store.open()
    await submit(store, "job-here")
    for number in range(MAX_PAGE):
        await submit(store, f"job-{number:04}", server=THERE)
    assert await has_work(engine, OWNER)
    (job,) = await claim(store)
    await append(store, job, [Waiting(at=21.0, until=1e9, code="rate_limited", message="Later.")])
    for number in range(MAX_PAGE):
        await claim(store, server=THERE)
        other = await store.job(OWNER, f"job-{number:04}")
        await append(store, other, [Waiting(at=21.0, until=1e9, code="rate_limited", message="Later.")])
    assert await has_work(engine, OWNER)
    await store.close()
