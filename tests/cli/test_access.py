"""Commands report files that other users can access, or that belong to other users."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import Home
from cli.saved_outputs import data_of, key, save
from cli.test_doctor import found
from cli.test_serve import Serve
from store.factories import HERE, ended

from jupyter_bgstream.core.codec import BUNDLE_MIME, PROTOCOL_VERSION, encode
from jupyter_bgstream.core.runtime_file import Runtime
from jupyter_bgstream.store.sqlite import SQLiteStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX")
by_root = pytest.mark.skipif(sys.platform != "win32" and os.geteuid() != 0, reason="only root may give files away")

EVE = 65533


@pytest.fixture
async def ours(home: Home) -> Home:
    """The home of a user with answers and a valid config."""
    home.configure(providers={})
    store = SQLiteStore(home.database, server=HERE)
    await store.open()
    await ended(store, "job-0001")
    await store.close()
    return home


@pytest.fixture
def stolen(ours: Home) -> Iterator[Home]:
    """The home of a user whose database belongs to another user."""
    os.chown(ours.database, EVE, EVE)
    yield ours
    assert ours.database.stat().st_uid == EVE


@by_root
def test_doctor_reports_database_of_another_user(stolen: Home) -> None:
    before = stolen.files()
    status, findings = stolen.doctor()
    (message,) = found(findings, "database", "problem")
    assert message.startswith(f"The file {stolen.database} of the database belongs to another user (uid {EVE})")
    assert "chown" in message
    assert status == 1
    assert not any("whole" in message for message in found(findings, "database", "ok"))  # it was not even read
    assert stolen.files() == before


@by_root
@pytest.mark.parametrize("command", [["prune", "--all-read"], ["fill", "--database"]])
def test_database_of_another_user_is_refused_by_commands(stolen: Home, tmp_path: Path, command: list[str]) -> None:
    if command[0] == "fill":
        notebook = save(tmp_path / "notes.ipynb", data_of(BUNDLE_MIME, key("job-0001")))
        command = [*command, str(stolen.database), str(notebook)]
    done = stolen.run(*command)
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr
    assert "Traceback" not in done.stderr


@by_root
def test_database_of_another_user_is_refused_by_serve(stolen: Home) -> None:
    serve = Serve(stolen)
    _, err = serve.process.communicate(timeout=60)
    assert (serve.said, serve.process.returncode) == ("", 1)
    assert "jupyter_bgstream could not start" in err
    assert "belongs to another user" in err


def test_doctor_warns_of_wide_modes_and_next_start_restores_them(ours: Home) -> None:
    locks = ours.database.with_name("jobs.sqlite.servers")
    ours.database.chmod(0o644)
    locks.chmod(0o755)
    before = ours.files()
    status, findings = ours.doctor()
    assert found(findings, "database", "warning") == [
        f"Other users have access to {ours.database} (mode 644).",
        f"Other users have access to {locks} (mode 755).",
    ]
    assert status == 0
    assert ours.files() == before
    assert ours.database.stat().st_mode & 0o777 == 0o644
    assert "mode is 600 now" in ours.run("prune", "--all-read").stderr
    assert found(ours.doctor()[1], "database", "warning") == []


def runtime_file(home: Home) -> Path:
    path = home.runtime / "bgstream-0123456789abcdef.json"
    path.write_bytes(
        encode(
            Runtime(
                url="http://127.0.0.1:1/",
                token="t",
                version="0",
                protocol=PROTOCOL_VERSION,
                server="s",
                pid=1,
                kind="serve",
            )
        )
    )
    path.chmod(0o600)
    return path


def test_doctor_warns_of_wide_runtime_file(ours: Home) -> None:
    path = runtime_file(ours)
    path.chmod(0o644)
    message, _ = found(ours.doctor()[1], "servers", "warning")
    assert message.startswith(f"Other users have access to {path} (mode 644)")


@by_root
def test_doctor_reports_runtime_file_of_another_user_as_ignored(ours: Home) -> None:
    path = runtime_file(ours)
    os.chown(path, EVE, EVE)
    (message,) = found(ours.doctor()[1], "servers", "warning")
    assert message == f"{path} was written by another user, and is ignored."
