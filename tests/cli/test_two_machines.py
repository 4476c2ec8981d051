"""One user's home and two machines with different host names: real servers, one of which freezes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cli.conftest import Home
from cli.test_serve import Serve, provider, user

from jupyter_bgstream.testing import ThreadedProvider, answer

__all__ = ["provider", "user"]

DEADLINE = 60.0  # seconds

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root may take another host name",
)


def pod(home: Home, name: str) -> Serve:
    """Start a server on a machine of that name, with a runtime folder of its own, as in a pod."""
    runtime = home.folder / f"runtime-{name}"
    runtime.mkdir(exist_ok=True)
    prefix = ["unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]
    return Serve(home, prefix=prefix, env={"JUPYTERHUB_USER": "ada", "JUPYTER_RUNTIME_DIR": str(runtime)})


def api(home: Home, name: str) -> httpx.Client:
    (file,) = Path(home.folder / f"runtime-{name}").glob("bgstream-*.json")
    runtime = json.loads(file.read_text())
    return httpx.Client(
        base_url=f"{runtime['url']}api/bgstream/",
        headers={"Authorization": f"token {runtime['token']}"},
        trust_env=False,
        verify=False,
        timeout=DEADLINE,
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_next_pod_takes_over_from_frozen_pod_that_then_writes_nothing(user: Home, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    config = json.loads((user.config / "jupyter_server_config.json").read_text())
    user.configure(database_journal="rollback", **config["BgStreamApp"])
    with closing(pod(user, "pod-one")) as one, api(user, "pod-one") as first:
        assert one.said.count("jobs.ada.sqlite") == 1
        job = first.post("jobs", json={"model": "test/held", "prompt": "?"}).json()["id"]
        until(lambda: first.get(f"jobs/{job}").json()["text"] == "one ")
        one.process.send_signal(signal.SIGSTOP)
        with closing(pod(user, "pod-two")), api(user, "pod-two") as second:
            until(lambda: second.get(f"jobs/{job}").json()["status"] == "interrupted")
            open_before = sum(request.outcome is None for request in provider.requests)
            one.process.send_signal(signal.SIGCONT)
            refused = first.post("jobs", json={"model": "test/hello", "prompt": "?"})
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert "The machine pod-two has taken over the database" in refused.json()["message"]
            assert first.get(f"jobs/{job}").status_code == 503
            until(lambda: sum(request.outcome is None for request in provider.requests) == open_before - 1)
            assert second.get(f"jobs/{job}").json()["text"] == "one "
            assert second.get("status").json()["warnings"] == []
    provider.release()
