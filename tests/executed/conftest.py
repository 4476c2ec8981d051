"""A Jupyter server, a scripted provider behind it, and the two places from which notebooks are executed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from client.conftest import Kernel
from executed.executing import Place
from harness.jupyter import Jupyter, jupyter

from jupyter_bgstream.testing import ScriptedProvider, ThreadedProvider, answer, refusal


@pytest.fixture(scope="session")
def provider() -> Iterator[ThreadedProvider]:
    scripts = {
        "hello": answer("Hello, world"),
        "slow": answer("one two three", pace=0.1),
        "slower": answer("four five six", pace=0.2),
        "refused": refusal(401, {"error": {"message": "no such key"}}),
    }
    with ScriptedProvider(scripts).in_thread() as provider:
        yield provider


@pytest.fixture(scope="session")
def server(provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    settings = {"store": "temporary", "providers": {"test": {"base_url": provider.base_url}}}
    with jupyter(tmp_path_factory.mktemp("home"), config={"BgStreamApp": settings}) as server:
        yield server


@pytest.fixture(scope="session")
def kernel(server: Jupyter) -> Iterator[Kernel]:
    """The kernel of another notebook, which inherits the server's runtime file."""
    with closing(Kernel(server)) as kernel:
        yield kernel


@pytest.fixture(params=["terminal", "kernel"])
def place(request: pytest.FixtureRequest, server: Jupyter, kernel: Kernel) -> Place:
    return Place(server, kernel if request.param == "kernel" else None)


@pytest.fixture
def inside(server: Jupyter, kernel: Kernel) -> Place:
    """The harder of the two: a kernel, whose environment says that there is a page."""
    return Place(server, kernel)
