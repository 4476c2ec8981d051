"""``jupyter bgstream prune`` deletes old answers, reports them, and keeps unread ones."""

from __future__ import annotations

import time

import pytest
from cli.conftest import Home
from store.factories import HERE, OWNER, append, ended, ids_of, running, take, text_deltas

from jupyter_bgstream.core.events import Cancelled, Completed
from jupyter_bgstream.store.port_values import Change
from jupyter_bgstream.store.sqlite import SQLiteStore

DAY = 86_400


async def filled(home: Home) -> SQLiteStore:
    """Open a store with answers of all kinds and ages."""
    now = time.time()
    store = SQLiteStore(home.database, server=HERE)
    await store.open()
    job = await running(store, "job-read-100")
    await append(store, job, text_deltas(*("words of an answer " * 5 for _ in range(20_000))))
    await store.end(OWNER, job.id, Completed(at=now - 100 * DAY, finish_reason="stop"))
    await store.mark_read(OWNER, "", ids=None, at=now - 99 * DAY)
    await ended(store, "job-read-10", Completed(at=now - 10 * DAY, finish_reason="stop"))
    await store.mark_read(OWNER, "", ids=None, at=now - 9 * DAY)
    await ended(store, "job-stopped-50", Cancelled(at=now - 50 * DAY))
    await ended(store, "job-unread-200", Completed(at=now - 200 * DAY, finish_reason="stop"))
    await running(store, "job-running")
    return store


def prune(home: Home, *options: str) -> str:
    done = home.run("prune", *options, JUPYTERHUB_USER=OWNER)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    return done.stdout


@pytest.mark.parametrize("beside", [True, False], ids=["beside a server", "offline"])
async def test_prune_deletes_old_read_answers_and_reports_them(home: Home, beside: bool) -> None:
    store = await filled(home)
    changes = store.changes()
    if not beside:
        await store.close()
    before = home.database.stat().st_size
    said = prune(home)
    assert "Deleting 1 read answer (" in said
    assert "older than 90 days." in said
    assert "Not deleted: 1 unread answer of that age." in said
    assert "Deleted 1 answer: " in said
    assert "MB in use before" in said
    if beside:
        await take(changes, until=Change(kind="deleted", owner=OWNER, subject="job-read-100"))
    else:
        store = SQLiteStore(home.database, server=HERE)
        await store.open()
        assert home.database.stat().st_size <= before
    assert sorted(await ids_of(store)) == ["job-read-10", "job-running", "job-stopped-50", "job-unread-200"]
    await store.close()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--days", "40"], {"job-read-10", "job-unread-200"}),
        (["--days", "9.5"], {"job-read-10", "job-unread-200"}),  # it was read 9 days ago
        (["--days", "8"], {"job-unread-200"}),
        (["--all-read"], {"job-unread-200"}),
        (["--days", "150", "--unread"], {"job-read-10", "job-stopped-50", "job-read-100"}),
        (["--all-read", "--unread"], set()),
    ],
)
async def test_options_select_answers_to_delete(home: Home, options: list[str], left: set[str]) -> None:
    store = await filled(home)
    said = prune(home, *options, "--dry-run")
    assert "Would delete" in said
    assert "Deleted" not in said
    assert len(await ids_of(store)) == 5
    prune(home, *options)
    assert set(await ids_of(store)) == left | {"job-running"}
    await store.close()


async def test_prune_uses_config_of_server(home: Home) -> None:
    store = await filled(home)
    await store.close()
    elsewhere = home.database.rename(home.folder / "elsewhere.sqlite")
    home.configure(database=str(elsewhere), retention_days=20)
    assert "Would delete 2 read answers" in prune(home, "--dry-run")
    home.configure(retention_days=0)
    assert "never deleted" in prune(home, "--dry-run", "--database", str(elsewhere))
    assert "Would delete 1 read answer" in prune(home, "--dry-run", "--database", str(elsewhere), "--days", "60")


async def test_prune_deletes_own_answers_only_unless_all_users_are_given(home: Home) -> None:
    store = await filled(home)
    for number in (1, 2):
        await ended(store, f"job-of-bob{number}", Cancelled(at=time.time() - 95 * DAY), owner="bob")
    said = prune(home, "--all-read")
    assert "Deleting 3 read answers (" in said
    assert "Not deleted: 2 read answers of other users." in said
    assert len(await ids_of(store, "bob")) == 2
    done = home.run("prune", "--all-read")  # outside the Hub: for the jobs of a server without one
    assert "Deleting 0 read answers (" in done.stdout
    assert len(await ids_of(store, "bob")) == 2
    said = prune(home, "--all-read", "--all-users")
    assert "of other users" not in said
    assert await ids_of(store, "bob") == []
    await store.close()


def test_prune_creates_no_database(home: Home) -> None:
    done = home.run("prune")
    assert done.returncode == 1
    assert "There is no database" in done.stderr
    assert not home.database.parent.exists()


@pytest.mark.parametrize("days", ["-1", "many", "nan"])
def test_invalid_days_are_refused(home: Home, days: str) -> None:
    assert home.run("prune", f"--days={days}").returncode == 2
