"""Settings reach what they are about."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from engine.conftest import Puppet

from jupyter_bgstream.core.errors import Unavailable
from jupyter_bgstream.core.events import Waiting
from jupyter_bgstream.engine.service import Service
from jupyter_bgstream.server import app
from jupyter_bgstream.server.activity import has_work
from jupyter_bgstream.server.app import BgStreamApp
from jupyter_bgstream.server.listing import MAX_PAGE
from jupyter_bgstream.store.memory import MemoryStore
from jupyter_bgstream.testing.store_making import HERE, OWNER, THERE, claim, submit

DEFAULTS: dict[str, Any] = {"full": False, "journal": None, "host": None}


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({}, {}),
        ({"full_sync": True}, {"full": True}),
        ({"journal": "rollback", "host": "ada-lab"}, {"journal": "rollback", "host": "ada-lab"}),
        ({"journal": "wal"}, {"journal": "wal"}),
    ],
)
def test_what_is_said_of_the_database_reaches_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, Any], reached: dict[str, Any]
) -> None:
    asked: list[tuple[Path, dict[str, Any]]] = []
    monkeypatch.setattr(app, "SQLiteStore", lambda path, **given: asked.append((path, given)))
    BgStreamApp(database=str(tmp_path / "x.sqlite"), **settings)._open_store("here")
    assert asked == [(tmp_path / "x.sqlite", {"server": "here", **DEFAULTS, **reached})]


async def test_a_task_that_died_keeps_nothing_from_being_closed() -> None:
    async def dies() -> None:
        raise FileNotFoundError("no such authorities")

    extension = BgStreamApp()
    extension._backend = app.Backend(token="x")
    extension.runtime_file = None
    extension._activity = asyncio.create_task(dies())
    extension._calling = asyncio.create_task(dies())
    await asyncio.wait([extension._activity, extension._calling])
    store = MemoryStore(server="here")
    service = extension._backend.service = Service(store=store, providers=Puppet(), server="here")
    await service.open()
    await extension.stop_extension()
    with pytest.raises(Unavailable):
        await store.size(owner=None)


async def test_a_culler_is_kept_away_from_what_is_still_to_run_here() -> None:
    store = MemoryStore(server=HERE)
    service = Service(store=store, providers=Puppet(), server=HERE)  # not open: nothing is claimed but by us
    await store.open()
    await submit(store, "job-0001", server=THERE)
    assert not await has_work(service, OWNER)
    await submit(store, "job-0002")
    assert await has_work(service, OWNER)
    (job,) = await claim(store)
    assert not await has_work(service, OWNER)  # as the scheduler sees it: nothing runs here
    await store.append(job, [Waiting(at=21.0, until=1e9, code="rate_limited", message="Later.")])
    assert await has_work(service, OWNER)
    await store.close()
    assert not await has_work(service, OWNER)


async def test_newer_jobs_of_another_server_hide_no_work() -> None:
    store = MemoryStore(server=HERE)
    service = Service(store=store, providers=Puppet(), server=HERE)
    await store.open()
    await submit(store, "job-here")
    for number in range(MAX_PAGE):
        await submit(store, f"job-{number:04}", server=THERE)
    assert await has_work(service, OWNER)
    (job,) = await claim(store)
    await store.append(job, [Waiting(at=21.0, until=1e9, code="rate_limited", message="Later.")])
    for number in range(MAX_PAGE):
        await claim(store, server=THERE)
        other = await store.job(OWNER, f"job-{number:04}")
        await store.append(other, [Waiting(at=21.0, until=1e9, code="rate_limited", message="Later.")])
    assert await has_work(service, OWNER)
    await store.close()
    assert not await app.has_work(service, OWNER)
