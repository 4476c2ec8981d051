"""Where a service's key comes from: the environment, then Jupyter's config, then the system's keyring.

It is looked up at each use, so that it may change, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .daemon_threads import run_in_daemon_thread
from .endpoint import Endpoint
from .errors import ErrorBuilder

KEYRING_SERVICE = "jupyter_bgstream"
FUNCTION_SECONDS = 10.0  # that a function in the config may take
KEYRING_SECONDS = 10.0  # it may ask a person to unlock it; nobody sits at a server

_HOW = "Its value has characters that no key has."


class Key:
    """The key of one service. Never shows it: neither its repr nor its errors hold a value."""

    def __init__(self, provider: str, endpoint: Endpoint, *, environ: Mapping[str, str], keyring: bool) -> None:
        self._provider = provider
        self._names = endpoint.key_names
        self._configured = endpoint.api_key
        self._environ = environ
        self._keyring = keyring and self.wanted

    def __repr__(self) -> str:
        return f"Key({self._provider!r})"

    @property
    def wanted(self) -> bool:
        """Whether the service wants a key at all."""
        return bool(self._names) or self._configured is not None

    @property
    def ways(self) -> str:
        """What a user can do so that there is one."""
        entry = f'c.BgStreamApp.providers = {{"{self._provider}": {{"api_key": …}}}}'
        ring = f"keyring set {KEYRING_SERVICE} {self._provider}"
        ways = [f"set {self.variables} in the Jupyter server's environment and restart it"] if self._names else []
        ways.append(f"write {entry} into Jupyter's config")
        ways.append(f"run '{ring}'" + ("" if self._keyring else " and set c.BgStreamApp.keyring = True"))
        return f"{ways[0][0].upper()}{', or '.join(ways)[1:]}."

    @property
    def variables(self) -> str:
        """The names of its environment variables."""
        return " or ".join(self._names)

    @property
    def source(self) -> str:
        """Where the key in use comes from, as far as can be told without asking for it."""
        if name := next((name for name in self._names if self._environ.get(name, "").strip()), None):
            return f"{name} in the Jupyter server's environment, then restart it"
        if self._configured is not None:
            return "its api_key in Jupyter's config"
        if self._keyring:
            return f"what the keyring has for {KEYRING_SERVICE}, {self._provider}"
        return f"{self.variables or 'its key (api_key_env)'} in the Jupyter server's environment, then restart it"

    @property
    def at_hand(self) -> bool:
        """Whether there is one for sure, without asking anybody for it."""
        given = self._given()
        return bool(given) and _problem(given or "") is None

    def lacking(self) -> str | None:
        """Return why there is no key that could be used, as far as can be told without asking; None: there may be."""
        given = self._given()
        if not self.wanted or (given is None and (callable(self._configured) or self._keyring)):
            return None
        return _problem(given) if given else ""

    async def look_up(self, errors: ErrorBuilder) -> str:
        """Return the key, or "" if the service wants none; raises ProviderError (``missing_key``)."""
        if not self.wanted:
            return ""
        key = self._given()
        if key is None and callable(self._configured):
            key = await self._called(errors)
        if not key and self._keyring:
            key = await self._from_keyring(errors)
        if not key:
            raise errors.error("missing_key")
        if problem := _problem(key):
            raise errors.error("missing_key", problem)
        return key

    def _given(self) -> str | None:
        for name in self._names:
            if key := self._environ.get(name, "").strip():
                return key
        return self._configured.strip() if isinstance(self._configured, str) else None

    async def _called(self, errors: ErrorBuilder) -> str:
        # What an error of that function says may hold the key itself: only its type is told.
        try:
            key: Any = await run_in_daemon_thread(
                self._configured, seconds=FUNCTION_SECONDS, name=f"key-{self._provider}"
            )
        except TimeoutError:
            words = f"The function in its api_key did not return within {FUNCTION_SECONDS:g} s."
            raise errors.error("missing_key", words) from None
        except Exception as error:
            words = f"The function in its api_key raised {type(error).__name__}."
            raise errors.error("missing_key", words) from None
        if key is None:
            return ""
        if not isinstance(key, str):
            words = f"The function in its api_key returned {type(key).__name__}, not a string."
            raise errors.error("missing_key", words)
        return key.strip()

    async def _from_keyring(self, errors: ErrorBuilder) -> str:
        if not has_keyring():
            raise errors.error("missing_key", "For the keyring: pip install 'jupyter_bgstream[keyring]'.")
        try:
            key = await run_in_daemon_thread(
                lambda: import_module("keyring").get_password(KEYRING_SERVICE, self._provider),
                seconds=KEYRING_SECONDS,
                name=f"keyring-{self._provider}",
            )
        except TimeoutError:
            words = f"The keyring did not answer within {KEYRING_SECONDS:g} s; it may be locked."
            raise errors.error("missing_key", words) from None
        except Exception as error:
            raise errors.error("missing_key", f"The keyring failed: {type(error).__name__}.") from None
        return str(key or "").strip()


def has_keyring() -> bool:
    """Return whether the package is installed; it is not imported."""
    return find_spec("keyring") is not None


def _problem(key: str) -> str | None:
    return None if key.isascii() and key.isprintable() else _HOW
