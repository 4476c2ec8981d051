"""One JupyterHub, one scripted provider and one Chromium for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from browser.conftest import browser as browser  # noqa: PLC0414 - fixtures
from browser.conftest import context as context  # noqa: PLC0414
from client.conftest import Kernel
from harness.hub import Hub, UserServer, jupyterhub

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

# Users by the way their servers sign people in: JupyterHub's server extension, or the older application.
MODES = {"extension": "ann", "classic": "cleo"}
CLASSIC = {"environment": {"JUPYTERHUB_SINGLEUSER_EXTENSION": "0"}}


@pytest.fixture(scope="session")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider({"hello": answer("Hello, world", usage=(3, 2))}).in_thread() as provider:
        yield provider


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Hub]:
    settings = {
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}, "default_model": "demo/hello"},
        "LabApp": {"expose_app_in_browser": True, "extension_manager": "readonly"},
    }
    folder = tmp_path_factory.mktemp("hub") / "hub"
    shared = {"args": [f"--BgStreamApp.database={folder}/shared.sqlite"]}
    per_user = {"cleo": CLASSIC, "dave": shared, "gus": shared}
    with jupyterhub(folder, settings=settings, per_user=per_user, culled=["erin", "fred"]) as hub:
        yield hub


@pytest.fixture(params=MODES.values(), ids=MODES)
def server(request: pytest.FixtureRequest, hub: Hub) -> UserServer:
    """A user's server, in each of the two modes."""
    return hub.server(request.param)


@pytest.fixture
def kernel_of() -> Iterator[Callable[[UserServer], Kernel]]:
    """Start a kernel on a user's server, with the magics loaded."""
    with ExitStack() as kernels:

        def start(server: UserServer) -> Kernel:
            kernel = kernels.enter_context(closing(Kernel(server, rest=server.page())))
            assert kernel.run("%load_ext jupyter_bgstream").reply["status"] == "ok"
            return kernel

        yield start
