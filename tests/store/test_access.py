"""Access to the files of a database: modes are restored, and files of another user are refused."""

import logging
import os
import stat
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from store.database_files import filled, refused
from store.factories import HERE, ids_of, submit
from store.serving import opened

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import SQLiteStore, file_permissions
from jupyter_bgstream.store.sqlite.file_permissions import foreign_owner, writable_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX")
by_root = pytest.mark.skipif(sys.platform != "win32" and os.geteuid() != 0, reason="only root may give files away")

ADA, EVE = 65534, 65533  # user numbers


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def acting_as(uid):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public():
    """A folder of root's that others may look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def home(public):
    """A folder of Ada's; this process may act as her."""
    home = public / "ada"
    home.mkdir(mode=0o700)
    os.chown(home, ADA, ADA)
    return home


def logged(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Modes


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o604, 0o755])
async def test_mode_of_database_is_restored_and_logged(database, journal, mode, caplog):
    await filled(database, journal=journal, host="here")
    file = database if journal == "wal" else database.with_name("jobs.here.sqlite")
    assert logged(caplog) == []
    file.chmod(mode)
    async with opened(database, journal=journal, host="here") as store:
        await submit(store, "job-0002")
        assert {mode_of(path) & 0o077 for path in file.parent.rglob("*")} == {0}
        (line,) = logged(caplog)
        assert line == f"Other users could use {file} (mode {mode:o}): its mode is {mode & 0o700:o} now."


async def test_mode_of_every_file_beside_database_is_restored(database, caplog):
    async with opened(database, "other") as other:
        await submit(other, "job-0001")
        aside = database.with_name(f"{database.name}.corrupt-20260101T000000.000000Z")
        aside.write_bytes(b"damaged")
        aside.with_name(aside.name + "-wal").write_bytes(b"its log")
        left = [path for path in database.parent.rglob("*") if path.name.startswith(database.name) or path.is_file()]
        assert {path.name for path in left} >= {
            "jobs.sqlite-wal",
            "jobs.sqlite-shm",
            "jobs.sqlite.servers",
            "other.lock",
        }
        for path in left:
            path.chmod(0o755 if path.is_dir() else 0o644)
        async with opened(database) as store:
            assert {mode_of(path) & 0o077 for path in left} == {0}
            assert {mode_of(path) for path in left if path.is_dir()} == {0o700}
            assert len(logged(caplog)) >= len(left)
            assert await ids_of(store) == ["job-0001"]


async def test_file_system_without_modes_is_reported_once_and_not_refused(database, caplog, monkeypatch):
    """As on vfat, or a CIFS mount: chmod succeeds and changes nothing."""
    await filled(database)
    database.chmod(0o644)
    database.with_name("jobs.sqlite.servers").chmod(0o755)
    monkeypatch.setattr(file_permissions.Path, "chmod", lambda *_: None)
    async with opened(database):
        (line,) = logged(caplog)
        assert "its file system keeps no modes" in line


async def test_file_system_that_refuses_modes_is_reported_once_and_not_refused(database, caplog, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    await filled(database)
    database.chmod(0o644)
    monkeypatch.setattr(file_permissions.Path, "chmod", refuse)
    async with opened(database):
        (line,) = logged(caplog)
        assert "that cannot be changed: Operation not permitted" in line


@pytest.mark.parametrize(("mode", "is_said"), [(0o777, True), (0o1777, False), (0o755, False), (0o775, True)])
async def test_folder_in_which_others_can_replace_database_is_reported(tmp_path, mode, is_said, caplog):
    folder = tmp_path / "shared"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 0, ADA)
    folder.chmod(mode)
    async with opened(folder / "jobs.sqlite"):
        assert any("and so replace the database" in line for line in logged(caplog)) == (
            is_said and (os.geteuid() == 0 or mode & 0o002 > 0)
        )
    assert mode_of(folder) == mode  # it may hold other things, for other people


@by_root
def test_group_with_number_of_owner_counts_as_private(home):
    home.chmod(0o770)
    assert writable_folder(home / "jobs.sqlite") is None
    os.chown(home, ADA, EVE)
    home.chmod(0o770)
    assert "mode 770" in writable_folder(home / "jobs.sqlite")


# Owners


@by_root
@pytest.mark.parametrize("name", ["jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-journal", "jobs.sqlite.servers"])
@pytest.mark.parametrize("uid", [0, ADA])
async def test_file_of_another_user_is_refused_and_left_alone(home, name, uid):
    database = home / "jobs.sqlite"
    if uid == 0:
        os.chown(home, 0, 0)
    with acting_as(uid):
        await filled(database)
    file = home / name
    if not file.exists():
        file.write_bytes(b"planted")
    os.chown(file, EVE, EVE)
    file.chmod(0o777)
    before = {path: (path.stat(), path.read_bytes() if path.is_file() else b"") for path in sorted(home.rglob("*"))}
    with acting_as(uid):
        message = await refused(database)
    assert message.startswith(f"The file {file} of the database belongs to another user (uid {EVE})")
    after = {path: (path.stat(), path.read_bytes() if path.is_file() else b"") for path in sorted(home.rglob("*"))}
    assert [(path, status.st_mode, content) for path, (status, content) in after.items()] == [
        (path, status.st_mode, content) for path, (status, content) in before.items()
    ]
    os.chown(file, uid, uid)
    if name in ("jobs.sqlite", "jobs.sqlite.servers"):
        with acting_as(uid):
            async with opened(database) as store:
                assert await ids_of(store) == ["job-0001"]


@by_root
async def test_folder_of_another_user_is_refused_also_through_symbolic_link(public, home):
    theirs = public / "eve"
    theirs.mkdir()
    os.chown(theirs, EVE, EVE)
    theirs.chmod(0o777)
    (home / "link").symlink_to(theirs)
    (home / "jobs.sqlite").symlink_to(theirs / "jobs.sqlite")
    with acting_as(ADA):
        for database in (theirs / "jobs.sqlite", home / "link" / "jobs.sqlite", home / "jobs.sqlite"):
            message = await refused(database)
            assert message.startswith(f"The folder {theirs} of the database belongs to another user (uid {EVE})")
    assert list(theirs.iterdir()) == []


@by_root
async def test_symbolic_link_within_own_folders_is_followed(home):
    with acting_as(ADA):
        (home / "disk").mkdir()
        (home / "data").symlink_to(home / "disk")
        async with opened(home / "data" / "jobs.sqlite") as store:
            await submit(store, "job-0001")
            assert store.path == home / "disk" / "jobs.sqlite"


@by_root
async def test_root_can_use_volume_of_another_user(home):
    """As in a container with a volume of a user of the host."""
    database = home / "jobs.sqlite"
    with acting_as(ADA):
        await filled(database)
    async with opened(database, "root-server") as store:
        await submit(store, "job-0002")
        assert {path.stat().st_uid for path in home.glob("jobs.sqlite*") if path.is_file()} == {ADA}
    with acting_as(ADA):
        async with opened(database) as store:
            assert await ids_of(store) == ["job-0002", "job-0001"]


@by_root
async def test_file_system_that_gives_all_files_one_owner_is_not_refused(home, monkeypatch):
    """As on an NFS export that maps all users to one."""
    database, locks = home / "jobs.sqlite", home / "jobs.sqlite.servers"
    with acting_as(ADA):
        await filled(database)
        monkeypatch.setattr(file_permissions.os, "geteuid", lambda: 1000)
        assert foreign_owner(database, locks) is None
        assert [path.name for path in sorted(home.iterdir())] == ["jobs.sqlite", "jobs.sqlite.servers"]
    os.chown(database, EVE, EVE)
    with acting_as(ADA):
        assert "jobs.sqlite of the database belongs to another user" in foreign_owner(database, locks)


async def test_unreadable_folder_of_locks_is_reported(database, monkeypatch):
    await filled(database)

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file_permissions.Path, "iterdir", refuse)
    with pytest.raises(UnavailableError, match=r"cannot be opened: .*Permission denied"):
        await SQLiteStore(database, server=HERE).open()
