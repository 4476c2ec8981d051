"""A scripted provider, and the registry that knows it as ``puppet``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from jupyter_bgstream.providers import default_model, http_provider, status_cache
from jupyter_bgstream.providers.http_provider import HTTPProvider
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import ScriptedProvider

Connect = Callable[..., HTTPProvider]
Install = Callable[..., None]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine's environment says of proxies, the tests' own servers are asked directly."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that answers has the time to, however busy the machine is; tests of time-outs set their own."""
    monkeypatch.setattr(default_model, "LOCAL_SECONDS", 60.0)
    monkeypatch.setattr(http_provider, "STATUS_SECONDS", 60.0)
    monkeypatch.setattr(status_cache, "ALL_SECONDS", 60.0)


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as provider:
        yield provider
        await provider.quiet()  # whoever opened a connection has closed it


@pytest.fixture
def connect(provider: ScriptedProvider) -> Connect:
    """Make the service of the scripted provider, or of another base_url, with a key in its environment."""

    def made(base_url: str | None = None, key: str | None = None, **config: object) -> HTTPProvider:
        entry = {"base_url": base_url or provider.base_url, **config}
        if key is not None:
            entry["api_key_env"] = "PUPPET_KEY"
        environ = {} if key is None else {"PUPPET_KEY": key}
        return Registry({"puppet": entry}, environ=environ).resolve("puppet/one")

    return made


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one module and entry points, as pip does."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed: list[str] = []

    def put(module: str, source: str, **entries: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [f"{name} = {module}:{attribute}" for name, attribute in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[jupyter_bgstream.providers]", *lines]))
        installed.append(module)

    yield put
    for module in installed:
        sys.modules.pop(module, None)
