"""A real Jupyter server, a scripted provider behind it, and real kernels that the server started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from jupyter_client.blocking.client import BlockingKernelClient

from jupyter_bgstream.client.default_connection import default_background
from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.testing import ScriptedProvider, ThreadedProvider, answer

PATIENCE = 60.0  # seconds


@pytest.fixture(scope="session")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider({"hello": answer("Hello, world", usage=(3, 2))}).in_thread() as provider:
        yield provider


def settings(provider: ThreadedProvider, **more: Any) -> dict[str, Any]:
    providers = {"test": {"base_url": provider.base_url}}
    return {"BgStreamApp": {"store": "temporary", "providers": providers, "default_model": "test/hello"} | more}


@pytest.fixture(scope="session")
def server(provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter(tmp_path_factory.mktemp("home"), config=settings(provider)) as server:
        yield server


@pytest.fixture
def script(server: Jupyter, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is a script that knows its server."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(server.runtime))
    monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(server.runtime_file))
    yield
    default_background.close()


@pytest.fixture
def sent(script: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests of this script to its server from now on, such as ``POST jobs``."""
    default_background.run(lambda api: api.connect())
    requests: list[str] = []
    send = httpx.AsyncClient.send

    async def record(client: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        requests.append(f"{request.method} {request.url.path.rpartition('/bgstream/')[2]}")
        return await send(client, request, **options)

    monkeypatch.setattr(httpx.AsyncClient, "send", record)
    return requests


@dataclass
class Ran:
    """What running a cell gave."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    @property
    def bundles(self) -> list[dict[str, Any]]:
        return [output["data"] for output in self.outputs if "data" in output]

    @property
    def job(self) -> dict[str, Any]:
        """The one job that is shown."""
        (found,) = [data[BUNDLE_MIME] for data in self.bundles if BUNDLE_MIME in data]
        assert isinstance(found, dict)
        return found

    @property
    def printed(self) -> str:
        return "".join(output["text"] for output in self.outputs if output.get("name") == "stdout")

    @property
    def error(self) -> str:
        """All that a user sees of the one error."""
        (error,) = [output for output in self.outputs if "traceback" in output]
        return "\n".join(error["traceback"])


class Kernel:
    """A kernel that the server has started, spoken to as a front end does."""

    def __init__(self, server: Jupyter, *, rest: httpx.Client | None = None) -> None:
        self.rest = rest or httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"token {server.token}"},
            trust_env=False,
            verify=False,
            timeout=PATIENCE,
        )
        self.id = str(self.rest.post("api/kernels").raise_for_status().json()["id"])
        self._gone = False
        self._connection_file = str(server.runtime / f"kernel-{self.id}.json")
        self._connect()

    def _connect(self) -> None:
        self._client = BlockingKernelClient(connection_file=self._connection_file)
        self._client.load_connection_file()
        self._client.start_channels(hb=False)  # a busy machine would pass for a dead kernel
        self._client.wait_for_ready(timeout=PATIENCE)

    def run(self, code: str, *, cell: str | None = None) -> Ran:
        """Run a cell and return what it showed; an error is returned, not raised."""
        return self.collect(self.send(code, cell=cell))

    def collect(self, message_id: str) -> Ran:
        """Wait for the end of a request that was sent, such as a cell."""
        ran = Ran()
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["msg_type"] in ("stream", "display_data", "update_display_data", "execute_result", "error"):
                ran.outputs.append({"type": message["msg_type"], **message["content"]})
            elif message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        reply = self._client.get_shell_msg(timeout=PATIENCE)
        while reply["parent_header"].get("msg_id") != message_id:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
        ran.reply = reply["content"]
        return ran

    def ask(self, expression: str) -> str:
        """Return the repr of an expression in the kernel."""
        ran = self.run(f"print(repr({expression}), end='')")
        assert ran.reply["status"] == "ok", ran.error
        return ran.printed

    def send(self, code: str, *, cell: str | None = None) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        metadata = {"cellId": cell} if cell else {}
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def await_printed(self, text: str) -> None:
        """Wait until a running cell has printed the text."""
        while text not in self._client.get_iopub_msg(timeout=PATIENCE)["content"].get("text", ""):
            pass

    def complete(self, code: str) -> list[str]:
        """Return what Tab offers at the end of the code, or at a ``¦`` in it: each with what stands before it."""
        before, _, after = code.partition("¦")
        ran = self.collect(self._client.complete(before + after, len(before)))
        assert ran.outputs == []  # they would appear below the cell that ran last
        found = ran.reply
        assert found["status"] == "ok"
        assert found["cursor_end"] == len(before)
        return [before[: found["cursor_start"]] + each for each in found["matches"]]

    def await_shown(self, message_id: str) -> None:
        """Wait until a cell that was sent has displayed something."""
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == message_id and message["msg_type"] == "display_data":
                return

    def interrupt(self) -> None:
        self.rest.post(f"api/kernels/{self.id}/interrupt").raise_for_status()

    def restart(self) -> None:
        self._client.stop_channels()
        self.rest.post(f"api/kernels/{self.id}/restart").raise_for_status()
        self._connect()

    def abandon(self) -> None:
        """Forget a kernel that was killed with its server."""
        self._gone = True

    def close(self) -> None:
        self._client.stop_channels()
        if self._gone:
            self.rest.close()
            return
        self.rest.delete(f"api/kernels/{self.id}")
        self.rest.close()


@pytest.fixture(scope="module")
def kernel(server: Jupyter) -> Iterator[Kernel]:
    """A kernel with the magics loaded."""
    with closing(Kernel(server)) as kernel:
        assert kernel.run("%load_ext jupyter_bgstream").reply["status"] == "ok"
        yield kernel
