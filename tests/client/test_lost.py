"""Broken connections and killed servers: no event is lost or repeated, and every wait ends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest
from client.conftest import Kernel, settings
from client.relay import Relay
from harness.jupyter import Jupyter, free_port, jupyter

from jupyter_bgstream.client import (
    AnswerRestartedError,
    IncompleteAnswerError,
    QueueFullError,
    ServerUnreachableError,
    UnavailableError,
    follower,
    job,
    jobs,
    rest_client,
    submit,
)
from jupyter_bgstream.client.default_connection import default_background
from jupyter_bgstream.client.errors import LOST
from jupyter_bgstream.core.codec import encode
from jupyter_bgstream.core.runtime_file import Runtime
from jupyter_bgstream.testing import ThreadedProvider, answer


@pytest.fixture
def relay(server: Jupyter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """The way from this process to the server."""
    runtime = msgspec.json.decode(server.runtime_file.read_bytes(), type=Runtime)
    with Relay(server.port) as relay:
        path = tmp_path / "bgstream-relayed.json"
        path.write_bytes(encode(msgspec.structs.replace(runtime, url=f"http://127.0.0.1:{relay.port}/")))
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
        monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(path))
        yield relay
        default_background.close()


def test_submit_with_lost_response_creates_one_job(relay: Relay) -> None:
    before = {found.id for found in jobs(limit=500)}
    relay.swallow_answers(1)
    asked = submit("Only once.")
    assert relay.swallowed.is_set()
    assert {found.id for found in jobs(limit=500)} - before == {asked.id}


def test_iteration_continues_after_lost_connection(relay: Relay, provider: ThreadedProvider) -> None:
    text = "".join(f"word {number} " for number in range(200))
    provider.scripts["held"] = answer(text, hold_after=150)
    asked = submit("x", model="test/held")
    pieces = iter(asked)
    said = next(pieces)
    with ThreadPoolExecutor() as pool:
        rest = pool.submit("".join, pieces)
        provider.held()
        relay.refuse()
        provider.release()
        relay.listen()
        assert said + rest.result() == text


def test_iteration_survives_loss_of_any_response(relay: Relay, provider: ThreadedProvider) -> None:
    text = "".join(f"word {number} " for number in range(40))
    provider.scripts["quick"] = answer(text)
    asked = submit("x", model="test/quick")
    said = ""
    for piece in asked:
        said += piece
        relay.swallow_answers(1)
    relay.swallow_answers(0)
    assert said == text


def test_client_gives_up_unreachable_server(
    relay: Relay, provider: ThreadedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PATIENCE", 0.5)
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")
    pieces = iter(asked)
    assert next(pieces) == "one "
    relay.refuse()
    with pytest.raises(ServerUnreachableError, match="Start JupyterLab again"):
        next(pieces)
    with pytest.raises(ServerUnreachableError):
        asked.text  # noqa: B018 - it asks the server
    assert asked._repr_mimebundle_()["text/plain"].startswith("one ")  # an image is drawn without a server, too
    relay.listen()
    assert asked.text == "one "
    asked.cancel()


@pytest.fixture
def own_server(provider: ThreadedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jupyter]:
    """A server to kill, whose jobs are kept."""
    with jupyter(tmp_path, config=settings(provider, store="sqlite")) as server:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(server.runtime))
        monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(server.runtime_file))
        yield server
        default_background.close()


def test_job_with_on_restart_retry_survives_killed_server(own_server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held", on_restart="retry")
    pieces = iter(asked)
    assert next(pieces) == "one "
    provider.scripts["held"] = answer("three four")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(asked.result)
        own_server.kill()
        with pytest.raises(ServerUnreachableError, match="Start JupyterLab again"):
            submit("x")
        own_server.port = free_port()
        own_server.start()
        assert waiting.result() == "three four"
    with pytest.raises(AnswerRestartedError):
        "".join(pieces)
    assert "".join(asked) == "three four"
    assert submit("x").result() == "Hello, world"  # by the new runtime file: the old one still lies there


def test_wait_ends_with_interrupted_job_after_kill_and_new_port(
    own_server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    done = submit("x")
    assert done.result() == "Hello, world"
    ended = submit("x", model="test/held")
    assert next(iter(ended)) == "one "
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ended.result)
        own_server.kill()
        own_server.port = free_port()
        own_server.start()
        with pytest.raises(IncompleteAnswerError, match="was interrupted") as interrupted:
            waiting.result()
    assert interrupted.value.code == "server_died"
    assert (ended.status, ended.text) == ("interrupted", "one ")
    assert job(done.id).text == "Hello, world"


def test_full_queue_error_has_retry_delay(
    provider: ThreadedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    with (
        jupyter(tmp_path, config=settings(provider, max_queued=1)) as server,
        closing(Kernel(server)) as kernel,
        monkeypatch.context() as patched,
    ):
        patched.setenv("JUPYTER_RUNTIME_DIR", str(server.runtime))
        patched.setenv("JUPYTER_BGSTREAM_RUNTIME", str(server.runtime_file))
        asked = submit("x", model="test/held")
        with pytest.raises(QueueFullError, match="jobs are unfinished") as refused:
            submit("y")
        assert refused.value.retry_after > 0
        kernel.run("%load_ext jupyter_bgstream")
        ran = kernel.run("%%bg\ny")
        assert ran.error == str(refused.value)
        asked.cancel()
        assert submit("y").result() == "Hello, world"
        default_background.close()


@pytest.mark.parametrize("status", [502, 503, 504])
def test_gateway_error_of_proxy_counts_as_lost_server(status: int) -> None:
    page = httpx.Response(status, html="<h1>Service Unavailable</h1>")
    with pytest.raises(UnavailableError, match="has not started yet") as refused:
        rest_client._accepted(page)
    assert isinstance(refused.value, LOST)
