"""The locks of servers: a living server is never reported dead, and locks of dead ones are removed."""

import threading

from store.factories import (
    HERE,
    OWNER,
    new_job,
)
from store.serving import opened

from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.store.sqlite.server_locks import ServerLocks


def test_lock_of_living_server_is_never_reported_dead(tmp_path):
    """A server with one id starts and stops while three threads check it."""
    lives = [0]  # odd: a server is there
    wrong, stop = [], threading.Event()
    others = ServerLocks(tmp_path, "asking")

    def ask():
        while not stop.is_set():
            before = lives[0]
            if others.is_dead("coming-and-going") and before % 2 and lives[0] == before:
                wrong.append(before)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        with ServerLocks(tmp_path, "coming-and-going"):
            lives[0] += 1
            assert not others.is_dead("coming-and-going")
            lives[0] += 1
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert others.is_dead("coming-and-going")


async def test_lock_of_dead_server_is_removed_once_it_has_no_unfinished_jobs(database):
    folder = database.with_name("jobs.sqlite.servers")
    async with opened(database) as store:
        (folder / "server-dead.lock").touch()
        (folder / "..%2Fb.lock").touch()
        await store.submit(new_job("job-0001", server="server-dead"), max_queued=9)
        (job,) = await store.abandoned_jobs(owner=None, limit=99)
        assert sorted(path.name for path in folder.iterdir()) == ["server-dead.lock", f"{HERE}.lock"]
        await store.end(OWNER, job.id, Cancelled(at=9.0))
        assert await store.abandoned_jobs(owner=None, limit=99) == []
        assert [path.name for path in folder.iterdir()] == [f"{HERE}.lock"]


async def test_cancelled_job_of_dead_server_stays_cancelled(database):
    async with opened(database, missing=0.0) as store:
        await store.submit(new_job("job-0001", server="server-dead"), max_queued=9)
        (job,) = await store.abandoned_jobs(owner=None, limit=99)
        await store.end(OWNER, job.id, Cancelled(at=9.0))
        assert await store.abandoned_jobs(owner=None, limit=99) == []
