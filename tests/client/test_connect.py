"""Discovery of the server, and the errors without one."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness.jupyter import Jupyter, free_port

from jupyter_bgstream.client import (
    BgStreamError,
    MultipleServersError,
    ServerNotFoundError,
    ServerUnreachableError,
    VersionMismatchError,
    connect,
    jobs,
)
from jupyter_bgstream.client.default_connection import default_background
from jupyter_bgstream.core.codec import PROTOCOL_VERSION, encode
from jupyter_bgstream.core.runtime_file import Runtime


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty runtime folder, and a process without variables that name a server."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    for name in ("JUPYTER_BGSTREAM_RUNTIME", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    default_background.close()
    yield tmp_path
    default_background.close()


def leave(folder: Path, name: str, running: Jupyter, /, **changes: Any) -> Path:
    """Leave a runtime file, as the server would, with changes."""
    runtime = msgspec.json.decode(running.runtime_file.read_bytes(), type=Runtime)
    path = folder / f"bgstream-{name}.json"
    path.write_bytes(encode(msgspec.structs.replace(runtime, **changes)))
    return path


def dead(folder: Path, name: str, server: Jupyter) -> Path:
    return leave(folder, name, server, url=f"http://127.0.0.1:{free_port()}/", pid=1)


def sentence(error: pytest.ExceptionInfo[BgStreamError]) -> str:
    """Return the message, after checking that it ends with advice."""
    message = str(error.value)
    assert "\n" not in message
    assert re.fullmatch(r"[A-Z].*\. .*([Ss]tart|[Rr]estart|[Ii]nstall|set).*\.", message), message
    return message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_runtime_file_of_another_user_is_not_followed(folder: Path, server: Jupyter) -> None:
    os.chown(leave(folder, "theirs", server), 65533, 65533)
    with pytest.raises(ServerNotFoundError):
        jobs()
    leave(folder, "mine", server)
    assert jobs(limit=1) is not None


@pytest.mark.parametrize("url", ["http://127.0.0.1:8888\n/", "http://127.0.0.1:99999999/", "", "x\0"])
def test_damaged_runtime_file_is_ignored_unless_it_is_the_given_one(
    folder: Path, server: Jupyter, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    damaged = leave(folder, "damaged", server, url=url)
    with pytest.raises(ServerNotFoundError):
        jobs()
    with monkeypatch.context() as told:
        told.setenv("JUPYTER_BGSTREAM_RUNTIME", str(damaged))
        with pytest.raises(ServerUnreachableError) as error:
            jobs()
        assert "is damaged" in sentence(error)
    leave(folder, "mine", server)
    assert jobs(limit=1) is not None


def test_missing_server_error_names_what_to_start() -> None:
    with pytest.raises(ServerNotFoundError) as error:
        jobs()
    assert "JupyterLab" in sentence(error)
    assert "`jupyter bgstream serve`" in sentence(error)


def test_runtime_files_of_killed_servers_are_ignored(server: Jupyter, folder: Path) -> None:
    for name in ("a", "b"):
        dead(folder, name, server)
    with pytest.raises(ServerNotFoundError):
        jobs()


def test_single_serve_is_preferred_to_jupyter_servers(server: Jupyter, folder: Path) -> None:
    for name in ("a", "b"):
        leave(folder, name, server)
    leave(folder, "c", server, kind="serve")
    assert isinstance(jobs(), list)
    default_background.close()
    leave(folder, "d", server, kind="serve")
    with pytest.raises(MultipleServersError):
        jobs()


def test_error_for_killed_serve_names_its_command(
    server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = leave(folder, "a", server, url=f"http://127.0.0.1:{free_port()}/", kind="serve")
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(path))
    with pytest.raises(ServerUnreachableError) as error:
        jobs()
    assert "Start `jupyter bgstream serve` again" in sentence(error)


def test_runtime_file_of_environment_variable_is_used(
    server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(server.runtime_file))
    leave(folder, "other", server)
    leave(folder, "another", server)
    assert isinstance(jobs(), list)


@pytest.mark.skipif(os.name == "nt", reason="JPY_PARENT_PID is a handle on Windows")
def test_runtime_file_of_parent_process_is_preferred(
    server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, "other", server, pid=1)
    leave(folder, "parent", server, pid=4711)
    with pytest.raises(MultipleServersError):
        jobs()
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    assert isinstance(jobs(), list)


def test_only_live_server_is_used(server: Jupyter, folder: Path) -> None:
    dead(folder, "a", server)
    leave(folder, "b", server)
    (folder / "bgstream-c.json").write_text("{")
    assert isinstance(jobs(), list)


def test_error_for_several_servers_names_their_files(server: Jupyter, folder: Path) -> None:
    paths = [leave(folder, name, server) for name in ("a", "b")]
    with pytest.raises(MultipleServersError) as error:
        jobs()
    assert all(str(path) in sentence(error) for path in paths)


def test_dead_server_is_reported_as_unreachable_or_stopped(
    server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dead(folder, "a", server)
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(path))
    with pytest.raises(ServerUnreachableError) as error:
        jobs()
    assert "cannot be reached" in sentence(error)
    path.unlink()
    with pytest.raises(ServerUnreachableError) as error:
        jobs()
    assert "has stopped" in sentence(error)


def test_client_finds_new_server_when_its_own_is_gone(
    server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(folder / "bgstream-gone.json"))
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    dead(folder, "parent", server)
    leave(folder, "new", server)
    assert isinstance(jobs(), list)


def test_busy_server_is_not_replaced_by_another(server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_CONTACT", 0.2)
    leave(folder, "other", server)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = leave(folder, "own", server, url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(path))
        with pytest.raises(ServerUnreachableError, match="does not answer") as error:
            jobs()
    assert error.value.busy
    assert error.value.__suppress_context__  # no traceback of httpx above the sentence


@pytest.mark.parametrize("changes", [{"server": "another"}, {"token": "wrong"}])
def test_another_server_at_same_port_is_refused(
    server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    path = leave(folder, "a", server, **changes)
    with pytest.raises(ServerNotFoundError):
        jobs()
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(path))
    with pytest.raises(ServerUnreachableError) as error:
        jobs()
    assert "Another server answers" in sentence(error)


def test_server_of_another_protocol_is_refused(server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(folder, "a", server)
    monkeypatch.setattr(connect, "PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    with pytest.raises(VersionMismatchError) as error:
        jobs()
    assert f"(protocol {PROTOCOL_VERSION})" in sentence(error)
    assert f"protocol {PROTOCOL_VERSION + 1}. Restart the kernel." in sentence(error)
    assert error.value.code == "wrong_version"


def test_runtime_file_of_another_protocol_is_refused(server: Jupyter, folder: Path) -> None:
    leave(folder, "a", server, protocol=PROTOCOL_VERSION - 1)
    with pytest.raises(VersionMismatchError, match="Restart the kernel"):
        jobs()


def test_proxy_settings_are_ignored(server: Jupyter, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(folder, "a", server)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert isinstance(jobs(), list)


@pytest.mark.parametrize(
    ("url", "needed"),
    [
        ("http://lab.example/", False),
        ("https://localhost:8888/", False),
        ("https://127.0.0.1:8888/", False),
        ("https://[::1]:8888/", False),
        ("https://lab.example/", True),
        ("https://10.0.0.7/", True),
    ],
)
def test_certificate_is_checked_for_remote_https_only(url: str, needed: bool) -> None:
    assert connect._needs_certificate(url) is needed
