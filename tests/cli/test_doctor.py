"""``jupyter bgstream doctor`` finds problems, gives advice, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli.conftest import Home, server
from harness.jupyter import Jupyter
from store.factories import HERE, ended, running

import jupyter_bgstream
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.store.sqlite.lease import Machine
from jupyter_bgstream.store.sqlite.sql_files import migrations
from jupyter_bgstream.testing import ScriptedProvider, answer

KEY = "sk-canary-4711"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider({"small": answer("Hello")}).in_thread() as provider:
        yield provider


@pytest.fixture
def sound(home: Home, provider: ScriptedProvider) -> Home:
    home.configure(providers={"mine": {"base_url": provider.base_url}}, default_model="mine/small")
    return home


async def fill(home: Home) -> None:
    store = SQLiteStore(home.database, server=HERE)
    await store.open()
    await ended(store, "job-0001")
    await ended(store, "job-0002")
    await running(store, "job-0003")
    await store.close()


def found(findings: list[dict[str, str]], area: str, level: str) -> list[str]:
    return [it["message"] for it in findings if (it["area"], it["level"]) == (area, level)]


def problem(home: Home, area: str, **env: str) -> dict[str, str]:
    """Run the doctor; return its one problem, and check that no file has changed."""
    before = home.files()
    status, findings = home.doctor(**env)
    assert home.files() == before
    problems = [it for it in findings if it["level"] == "problem"]
    assert [it["area"] for it in problems] == [area], problems
    assert problems[0]["advice"] or area == "providers"
    assert status == 1
    return problems[0]


def test_new_installation_without_database_has_no_problem(sound: Home) -> None:
    before = sound.files()
    status, findings = sound.doctor()
    assert status == 0, findings
    assert {it["level"] for it in findings} == {"ok"}
    assert any("at its first start" in message for message in found(findings, "database", "ok"))
    assert "mine: 1 model." in found(findings, "providers", "ok")
    (idle,) = [message for message in found(findings, "providers", "ok") if "Not configured" in message]
    assert "openai" in idle
    assert sound.files() == before


async def test_used_database_has_no_problem(sound: Home) -> None:
    await fill(sound)
    before = sound.files()
    status, findings = sound.doctor()
    assert status == 0, findings
    assert any("2 completed, 1 running" in message for message in found(findings, "database", "ok"))
    assert "Servers that use it now: 0." in found(findings, "database", "ok")
    assert sound.files() == before


def test_files_of_killed_server_are_read_and_not_changed(sound: Home) -> None:
    asyncio.run(fill(sound))
    program = Path(__file__).parents[1] / "store/server.py"
    env = os.environ | {"PYTHONPATH": str(Path(jupyter_bgstream.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, program, sound.database, "two"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        _, findings = sound.doctor()
        assert "Servers that use it now: 1." in found(findings, "database", "ok")
        assert child.stdin is not None
        child.stdin.write("append\n")
        child.stdin.flush()
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    names = set(sound.files())
    log = sound.database.with_name("jobs.sqlite-wal")
    kept = sound.database.read_bytes(), log.read_bytes()
    assert len(kept[1]) > 0
    status, findings = sound.doctor()
    assert status == 0, findings
    assert any("2 running" in message for message in found(findings, "database", "ok"))
    assert set(sound.files()) == names
    assert (sound.database.read_bytes(), log.read_bytes()) == kept


def test_missing_key_is_problem_and_no_key_is_printed(home: Home, provider: ScriptedProvider) -> None:
    fields = {"base_url": provider.base_url, "api_key_env": "MY_KEY"}
    home.configure(providers={"mine": fields, "other": {"base_url": provider.base_url}}, default_model="mine/small")
    found = problem(home, "providers")
    assert "MY_KEY" in found["message"]
    assert "missing_key" in found["message"]
    for options in ([], ["--json"]):
        done = home.run("doctor", *options, MY_KEY=KEY, OPENAI_API_KEY=KEY, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
        assert "mine: 1 model." in done.stdout
        assert KEY not in done.stdout + done.stderr


def test_config_without_provider_is_warning(home: Home) -> None:
    status, findings = home.doctor(JUPYTERHUB_USER="me")  # so that no server of this machine is tried
    assert status == 0
    (warning,) = [it for it in findings if it["level"] == "warning"]
    assert "demo" in warning["message"]
    assert "OPENAI_API_KEY" in warning["advice"]


def test_configured_provider_that_does_not_answer_is_problem(sound: Home, provider: ScriptedProvider) -> None:
    sound.configure(
        providers={"mine": {"base_url": provider.base_url}, "gone": {"base_url": "http://127.0.0.1:1/v1"}},
    )
    assert "unreachable" in problem(sound, "providers")["message"]


def test_provider_without_model_list_is_warning(sound: Home, provider: ScriptedProvider) -> None:
    sound.configure(providers={"mine": {"base_url": provider.base_url + "/deeper"}})
    status, findings = sound.doctor()
    assert status == 0, findings
    (message,) = [each for each in found(findings, "providers", "warning") if each.startswith("mine: ")]
    assert "This provider has no list of models" in message
    assert "mine/NAME" in message


def test_invalid_provider_config_is_problem(home: Home) -> None:
    home.configure(providers={"mine": {"url": "http://localhost/v1"}})
    assert "mine" in problem(home, "providers")["message"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config/jupyter_server_config.py", "c.BgStreamApp.max_running = (", "SyntaxError"),
        ("config/jupyter_server_config.py", "nonsense", "NameError"),
        ("config/jupyter_config.json", "{", "JSONDecodeError"),
        ("config/jupyter_jupyter_bgstream_config.py", "1 / 0", "ZeroDivisionError"),
    ],
)
def test_unreadable_config_is_problem(sound: Home, name: str, content: str, says: str) -> None:
    path = sound.write(name, content)
    message = problem(sound, "config")["message"]
    assert str(path) in message
    assert says in message


def test_unknown_and_invalid_settings_are_reported(sound: Home, provider: ScriptedProvider) -> None:
    providers = {"mine": {"base_url": provider.base_url}}
    sound.configure(providers=providers, max_runing=3, max_queued=0)
    message = problem(sound, "config")["message"]
    assert "max_queued" in message
    _, findings = sound.doctor()
    (unknown,) = [it for it in findings if it["level"] == "warning"]
    assert "max_runing" in unknown["message"]
    assert unknown["advice"] == "Did you mean BgStreamApp.max_running?"


def test_newer_schema_is_problem(sound: Home) -> None:
    sound.database.parent.mkdir()
    with closing(sqlite3.connect(sound.database)) as db:
        db.execute("CREATE TABLE revision (rev)")
        db.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    found = problem(sound, "database")
    assert "newer" in found["message"]
    assert "upgrade" in found["advice"]


def test_database_of_another_application_is_problem(sound: Home) -> None:
    sound.database.parent.mkdir()
    with closing(sqlite3.connect(sound.database)) as db:
        db.execute("CREATE TABLE mine (n)")
    assert "another application" in problem(sound, "database")["message"]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_file_that_is_not_a_database_is_problem(sound: Home, content: bytes) -> None:
    sound.database.parent.mkdir()
    sound.database.write_bytes(content)
    assert "damaged" in problem(sound, "database")["message"]


def test_quarantined_database_is_reported_until_removed(sound: Home) -> None:
    aside = sound.database.with_name("jobs.sqlite.corrupt-20260101T000000.000000Z")
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"damaged")
    older = aside.with_name("jobs.sqlite.corrupt-20250101T000000.000000Z")
    older.write_bytes(b"damaged")
    for file in (aside, older):
        file.chmod(0o600)
    (message,) = found(sound.doctor()[1], "database", "warning")
    assert f"kept as {aside}" in message
    assert "So is 1 older one" in message
    aside.unlink()
    older.unlink()
    assert found(sound.doctor()[1], "database", "warning") == []


async def test_database_of_another_machine_is_problem_while_that_is_alive(sound: Home) -> None:
    settings = json.loads((sound.config / "jupyter_server_config.json").read_text())["BgStreamApp"]
    sound.configure(database_journal="rollback", database_host="ada", **settings)
    store = SQLiteStore(
        sound.database, server=HERE, journal="rollback", host="ada", machine=Machine("node1", "another boot")
    )
    await store.open()
    _, findings = await asyncio.to_thread(sound.doctor)
    (message,) = found(findings, "database", "problem")
    assert "another machine, node1, that is alive" in message
    await store.close()
    assert found(sound.doctor()[1], "database", "problem") == []


def test_earlier_database_named_after_machine_is_reported(sound: Home) -> None:
    settings = json.loads((sound.config / "jupyter_server_config.json").read_text())["BgStreamApp"]
    sound.configure(database_journal="rollback", **settings)
    before = sound.database.with_name(f"jobs.{socket.gethostname()}.sqlite")
    before.parent.mkdir(parents=True)
    before.write_bytes(b"a database")
    (message,) = found(sound.doctor(JUPYTERHUB_USER="ada")[1], "database", "warning")
    assert f"Earlier jobs are in {before.name} (under this machine's name)" in message


async def test_damaged_database_is_problem(sound: Home) -> None:
    await fill(sound)
    with sound.database.open("r+b") as file:
        for page in range(2, sound.database.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 200)
    assert ".recover" in problem(sound, "database")["advice"]


def test_folder_in_place_of_database_is_problem(sound: Home) -> None:
    sound.database.mkdir(parents=True)
    assert "not a file" in problem(sound, "database")["message"]


def test_disabled_extension_is_problem(sound: Home) -> None:
    sound.write("config/jupyter_server_config.d/jupyter_bgstream.json", server("jpserver_extensions", enabled=False))
    found = problem(sound, "config")
    assert found["message"] == "The server extension is disabled."
    assert found["advice"] == "jupyter server extension enable jupyter_bgstream"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("data/labextensions/jupyter-bgstream/package.json", {"version": "0.0.1"}, "is 0.0.1"),
        ("config/labconfig/page_config.json", {"disabledExtensions": {"jupyter-bgstream": True}}, "disabled"),
        ("config/labconfig/page_config.json", {"disabledExtensions": ["jupyter-bgstream:panel"]}, "disabled"),
    ],
)
def test_old_or_disabled_labextension_is_problem(sound: Home, name: str, content: object, says: str) -> None:
    sound.write(name, content)
    assert says in problem(sound, "versions")["message"]


def test_control_characters_of_config_do_not_reach_terminal(sound: Home) -> None:
    sound.configure(**{"\x1b]52;c;eA==\x07\x9b2J": 1})
    for options in ([], ["--json"]):
        done = sound.run("doctor", *options)
        assert "]52;c;eA==" in done.stdout
        assert not {"\x1b", "\x07", "\x9b"} & set(done.stdout + done.stderr)


def test_report_fits_80_columns(sound: Home) -> None:
    sound.configure(providers={"gone": {"base_url": "http://127.0.0.1:1/v1"}}, nonsense=1)
    done = sound.run("doctor")
    assert done.returncode == 1
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or "/" in line  # a path is not broken
    assert done.stdout.isascii()
    for word in (
        "Versions",
        "Config",
        "Database",
        "Providers",
        "Servers",
        "  ok  ",
        "  warning  ",
        "  problem  ",
        "->",
    ):
        assert word in done.stdout


def test_running_server_is_queried_and_killed_one_is_warning(sound: Home, tmp_path: Path) -> None:
    jupyter = Jupyter(tmp_path / "server")
    jupyter.start()
    sound.runtime = jupyter.runtime
    env = {"JUPYTER_RUNTIME_DIR": str(jupyter.runtime)}
    try:
        status, findings = sound.doctor(**env)
        assert status == 0, findings
        assert any("answers, and stores jobs in sqlite" in message for message in found(findings, "servers", "ok"))
        token = jupyter.runtime_file.read_text()
        assert not any(word in str(findings) for word in token.split('"') if len(word) > 30)
    finally:
        jupyter.kill()
    status, findings = sound.doctor(**env)
    assert status == 0
    (warning,) = found(findings, "servers", "warning")
    assert "does not answer" in warning
