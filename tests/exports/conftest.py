"""A Jupyter server whose provider says what a test wants, and one Chromium that opens what is exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.conftest import browser as browser  # noqa: PLC0414 - fixtures
from browser.conftest import context as context  # noqa: PLC0414
from exports.exporting import Exports
from harness.jupyter import jupyter

from jupyter_bgstream.testing import ScriptedProvider


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    with ScriptedProvider().in_thread() as provider:
        settings = {"store": "temporary", "providers": {"test": {"base_url": provider.base_url}}}
        with jupyter(tmp_path_factory.mktemp("exports"), config={"BgStreamApp": settings}) as server:
            yield Exports(server, provider)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")
