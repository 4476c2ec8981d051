"""The temporary store: a private directory for as long as its server lives."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from store.factories import HERE, ended
from store.serving import PACKAGE

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import TemporaryStore, temporary_store

# Opens a store and prints its directory; closes it at the end of stdin.
SERVER = """
import asyncio, sys
from pathlib import Path
from jupyter_bgstream.store.sqlite import TemporaryStore

async def main():
    store = TemporaryStore(server="other", parent=Path(sys.argv[1]))
    await store.open()
    print(store.path.parent, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await store.close()

asyncio.run(main())
"""


@contextmanager
def other_server(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE)},
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


async def test_directory_is_private_and_removed_at_close(tmp_path: Path) -> None:
    store = TemporaryStore(server=HERE, parent=tmp_path)
    assert store.path is None
    await store.open()
    (directory,) = tmp_path.iterdir()
    assert store.path is not None
    assert store.path.parent == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    await ended(store)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in directory.rglob("*")} == {0}
    await store.close()
    assert list(tmp_path.iterdir()) == []


async def test_system_temporary_directory_is_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_store.tempfile, "tempdir", str(tmp_path))
    store = TemporaryStore(server=HERE)
    await store.open()
    assert store.path is not None
    assert store.path.parent.parent == tmp_path
    await store.close()


async def test_next_start_removes_directory_of_killed_server(tmp_path: Path) -> None:
    with other_server(tmp_path) as (process, left):
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (left / "jobs.sqlite").exists()
    store = TemporaryStore(server=HERE, parent=tmp_path)
    await store.open()
    assert not left.exists()
    await store.close()


async def test_next_start_keeps_directory_of_living_server(tmp_path: Path) -> None:
    with other_server(tmp_path) as (process, theirs):
        store = TemporaryStore(server=HERE, parent=tmp_path)
        await store.open()
        await store.close()
        assert (theirs / "jobs.sqlite").exists()
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0
    assert list(tmp_path.iterdir()) == []


async def test_files_and_links_with_prefix_are_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    parent = tmp_path / "parent"
    parent.mkdir()
    link, file = parent / f"{temporary_store.PREFIX}link", parent / f"{temporary_store.PREFIX}file"
    link.symlink_to(elsewhere)
    file.touch()
    store = TemporaryStore(server=HERE, parent=parent)
    await store.open()
    await store.close()
    assert {path.name for path in parent.iterdir()} == {link.name, file.name}
    assert (elsewhere / "mine").exists()


async def test_directory_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / f"{temporary_store.PREFIX}theirs"
    theirs.mkdir()
    monkeypatch.setattr(temporary_store.os, "geteuid", lambda: os.getuid() + 1)
    temporary_store.remove_leftovers(tmp_path)
    assert theirs.exists()


async def test_failed_open_leaves_nothing_behind_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TemporaryStore(server=HERE, parent=tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise UnavailableError("Not now.")

    with monkeypatch.context() as patched:
        patched.setattr("jupyter_bgstream.store.sqlite.database.opened_files", fail)
        with pytest.raises(UnavailableError, match=r"Not now\."):
            await store.open()
    assert list(tmp_path.iterdir()) == []
    await store.open()
    await store.close()


async def test_unwritable_parent_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="Set TMPDIR to a writable directory"):
        await TemporaryStore(server=HERE, parent=tmp_path / "missing").open()


async def test_directory_removed_before_locking_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, locked = temporary_store._lock, []

    def lock_late(directory: Path) -> int | None:
        if not locked:  # another server looks for leftovers at this moment
            directory.rmdir()
        locked.append(directory)
        return lock(directory)

    monkeypatch.setattr(temporary_store, "_lock", lock_late)
    with temporary_store.private_directory(tmp_path) as directory:
        assert locked[1] == directory
        assert list(tmp_path.iterdir()) == [directory]
