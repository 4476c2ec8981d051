"""A key comes from the environment, the config or the keyring, and appears in no error and no repr."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from providers.speaking import job, read

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.providers import keys
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import ScriptedProvider, answer, refusal

KEY = "sk-canary-4711"


async def sent(provider: ScriptedProvider, environ: dict[str, str], **fields: Any) -> str | ProviderError:
    """Return the key that is sent with a job, or the error of the job."""
    provider.scripts["one"] = answer("yes")
    keyring = fields.pop("keyring", False)
    config = {"puppet": {"base_url": provider.base_url, **fields}}
    registry = Registry(config, environ=environ, builtin=False, keyring=keyring)
    asked = len(provider.requests)
    _, error = await read(registry.resolve("puppet/one"), job())
    assert KEY not in repr(registry.resolve("puppet/one")) + repr(vars(registry.resolve("puppet/one")))
    if error is not None:
        assert KEY not in error.message
        return error
    return provider.requests[asked].headers.get("authorization", "").removeprefix("Bearer ")


def missing(outcome: str | ProviderError) -> str:
    assert isinstance(outcome, ProviderError)
    assert outcome.code == "missing_key"
    return outcome.message


async def test_key_sources_are_tried_in_order(provider: ScriptedProvider) -> None:
    names = ["ONE_KEY", "OTHER_KEY"]
    assert await sent(provider, {"OTHER_KEY": "b"}, api_key_env=names) == "b"
    assert await sent(provider, {"ONE_KEY": "a", "OTHER_KEY": "b"}, api_key_env=names) == "a"
    assert await sent(provider, {"ONE_KEY": " ", "OTHER_KEY": "b"}, api_key_env=names, api_key="c") == "b"
    assert await sent(provider, {}, api_key_env=names, api_key="c") == "c"
    assert await sent(provider, {}, api_key=lambda: "d") == "d"
    assert await sent(provider, {}) == ""


async def test_key_function_is_called_at_each_use_off_the_loop(provider: ScriptedProvider) -> None:
    threads = []

    def rotating() -> str:
        threads.append(threading.current_thread())
        return f"key-{len(threads)}\n"

    provider.scripts["one"] = answer("yes")
    config = {"puppet": {"base_url": provider.base_url, "api_key": rotating}}
    puppet = Registry(config, environ={}, builtin=False).resolve("puppet/one")
    for number in (1, 2):
        assert (await read(puppet, job()))[1] is None
        assert provider.requests[-1].headers["authorization"] == f"Bearer key-{number}"
    assert threading.current_thread() not in threads
    assert puppet.config_error() is None
    assert len(threads) == 2  # to ask whether it could be asked calls nobody


def raising() -> str:
    raise ValueError(KEY)


def leaving() -> str:
    sys.exit(KEY)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (raising, "ValueError"),
        (leaving, "RuntimeError"),
        (KEY.encode, "bytes, not a string"),
        (lambda: f"{KEY}é", "characters"),
        (lambda: f"{KEY}\nx", "characters"),
        (lambda: "", "needs a key"),
        (lambda: None, "needs a key"),
    ],
)
async def test_unusable_key_function_fails_as_missing_key(
    provider: ScriptedProvider, function: Callable[[], Any], words: str
) -> None:
    assert words in missing(await sent(provider, {}, api_key=function))
    assert not provider.requests


async def test_hanging_key_function_times_out(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "FUNCTION_SECONDS", 0.05)
    held = threading.Event()
    try:
        assert "0.05 s" in missing(await sent(provider, {}, api_key=lambda: str(held.wait(60))))
    finally:
        held.set()


async def test_missing_key_error_names_every_source(provider: ScriptedProvider) -> None:
    words = missing(await sent(provider, {}, api_key_env=["ONE_KEY", "OTHER_KEY"]))
    for way in ("ONE_KEY or OTHER_KEY", "c.BgStreamApp.providers", "api_key", "keyring set jupyter_bgstream puppet"):
        assert way in words


@pytest.mark.parametrize(
    ("environ", "fields", "where"),
    [
        ({"A_KEY": KEY}, {"api_key_env": "A_KEY"}, "A_KEY in the Jupyter server's environment"),
        ({}, {"api_key_env": "A_KEY", "api_key": KEY}, "its api_key in Jupyter's config"),
        ({}, {"api_key": lambda: KEY}, "its api_key in Jupyter's config"),
    ],
)
async def test_refused_key_error_names_its_source(
    provider: ScriptedProvider, environ: dict[str, str], fields: dict[str, Any], where: str
) -> None:
    provider.scripts["one"] = refusal(401, f"No: {KEY}")
    config = {"puppet": {"base_url": provider.base_url, **fields}}
    _, error = await read(Registry(config, environ=environ, builtin=False).resolve("puppet/one"), job())
    assert error is not None
    assert error.code == "unauthorized"
    assert f"Check {where}" in error.message
    assert KEY not in error.message


class TestKeyring:
    @pytest.fixture
    def ring(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        """Replace the package keyring by a fake."""
        module = types.ModuleType("keyring")
        module.get_password = lambda service, user: {("jupyter_bgstream", "puppet"): KEY}.get((service, user))  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "keyring", module)
        monkeypatch.setattr(keys, "has_keyring", lambda: True)
        return module

    async def test_keyring_is_last_and_only_if_enabled(
        self, provider: ScriptedProvider, ring: types.ModuleType
    ) -> None:
        assert await sent(provider, {}, api_key_env="A_KEY", keyring=True) == KEY
        assert await sent(provider, {"A_KEY": "a"}, api_key_env="A_KEY", keyring=True) == "a"
        assert await sent(provider, {}, api_key_env="A_KEY", api_key=lambda: None, keyring=True) == KEY
        assert "keyring" in missing(await sent(provider, {}, api_key_env="A_KEY"))
        assert await sent(provider, {}, keyring=True) == ""  # it wants none

    async def test_failing_or_empty_keyring_is_reported(
        self, provider: ScriptedProvider, ring: types.ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(service: str, user: str) -> str:
            raise RuntimeError(KEY)

        ring.get_password = lambda *_: None  # type: ignore[attr-defined]
        assert "needs a key" in missing(await sent(provider, {}, api_key_env="A_KEY", keyring=True))
        ring.get_password = broken  # type: ignore[attr-defined]
        assert "keyring failed: RuntimeError" in missing(await sent(provider, {}, api_key_env="A_KEY", keyring=True))
        monkeypatch.setattr(keys, "KEYRING_SECONDS", 0.05)
        held = threading.Event()
        ring.get_password = lambda *_: held.wait(60)  # type: ignore[attr-defined]
        assert "locked" in missing(await sent(provider, {}, api_key_env="A_KEY", keyring=True))
        held.set()

    async def test_missing_keyring_package_is_reported(
        self, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keys, "has_keyring", lambda: False)
        words = missing(await sent(provider, {}, api_key_env="A_KEY", keyring=True))
        assert "pip install 'jupyter_bgstream[keyring]'" in words


async def test_header_function_is_called_and_validated(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(["a", "b", f"{KEY}\n", 7])
    assert await sent(provider, {}, headers={"X-Team": lambda: next(made)}) == ""
    assert await sent(provider, {}, headers={"X-Team": lambda: next(made)}) == ""
    assert [request.headers["x-team"] for request in provider.requests] == ["a", "b"]
    for _ in range(2):
        assert "X-Team returned" in missing(await sent(provider, {}, headers={"X-Team": lambda: next(made)}))
    assert "X-Team raised ValueError" in missing(await sent(provider, {}, headers={"X-Team": raising}))
    monkeypatch.setattr(keys, "FUNCTION_SECONDS", 0.05)
    held = threading.Event()
    assert "0.05 s" in missing(await sent(provider, {}, headers={"X-Team": lambda: str(held.wait(60))}))
    held.set()


async def test_key_is_sent_in_configured_header(provider: ScriptedProvider) -> None:
    assert await sent(provider, {}, api_key=KEY, key_header="api-key") == ""
    assert provider.requests[-1].headers["api-key"] == KEY
