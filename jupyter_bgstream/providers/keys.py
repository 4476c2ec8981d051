"""Keys of providers: from the environment, then Jupyter's config, then the system's keyring.

A key is looked up at each use, so that it may change, and never stored.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .daemon_threads import run_in_daemon_thread
from .errors import ErrorBuilder
from .provider_settings import ProviderSettings

KEYRING_SERVICE = "jupyter_bgstream"
FUNCTION_SECONDS = 10.0  # for a function in the config
KEYRING_SECONDS = 10.0  # it may ask a user to unlock it, and a server has none

_INVALID = "The value has characters that no key has."


class Key:
    """The key of one provider. Neither its repr nor its errors show the value."""

    def __init__(self, provider: str, endpoint: ProviderSettings, *, environ: Mapping[str, str], keyring: bool) -> None:
        self._provider = provider
        self._names = endpoint.key_names
        self._configured = endpoint.api_key
        self._environ = environ
        self._keyring = keyring and self.wanted

    def __repr__(self) -> str:
        return f"Key({self._provider!r})"

    @property
    def wanted(self) -> bool:
        """Whether the provider needs a key."""
        return bool(self._names) or self._configured is not None

    @property
    def ways(self) -> str:
        """How a user can set a key, as a sentence."""
        entry = f'c.BgStreamApp.providers = {{"{self._provider}": {{"api_key": …}}}}'
        ring = f"keyring set {KEYRING_SERVICE} {self._provider}"
        ways = [f"set {self.variables} in the Jupyter server's environment and restart it"] if self._names else []
        ways.append(f"set {entry} in Jupyter's config")
        ways.append(f"run '{ring}'" + ("" if self._keyring else " and set c.BgStreamApp.keyring = True"))
        return f"{ways[0][0].upper()}{', or '.join(ways)[1:]}."

    @property
    def variables(self) -> str:
        """Names of its environment variables, joined by or."""
        return " or ".join(self._names)

    @property
    def source(self) -> str:
        """Where the key in use comes from, as far as that is known without a lookup."""
        if name := next((name for name in self._names if self._environ.get(name, "").strip()), None):
            return f"{name} in the Jupyter server's environment, then restart it"
        if self._configured is not None:
            return "its api_key in Jupyter's config"
        if self._keyring:
            return f"the keyring's entry for {KEYRING_SERVICE}, {self._provider}"
        return f"{self.variables or 'its key (api_key_env)'} in the Jupyter server's environment, then restart it"

    @property
    def at_hand(self) -> bool:
        """Whether there certainly is a key, without a call of a function or the keyring."""
        given = self._given()
        return bool(given) and _problem(given or "") is None

    def problem(self) -> str | None:
        """Return why there is no usable key, as far as that is known without a lookup.

        Returns:
            None if there may be a key; "" if it is missing; a sentence if it is invalid.

        """
        given = self._given()
        if not self.wanted or (given is None and (callable(self._configured) or self._keyring)):
            return None
        return _problem(given) if given else ""

    async def look_up(self, errors: ErrorBuilder) -> str:
        """Return the key, or "" if the provider needs none; raise ProviderError (``missing_key``)."""
        if not self.wanted:
            return ""
        key = self._given()
        if key is None and callable(self._configured):
            key = await self._from_function(errors)
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

    async def _from_function(self, errors: ErrorBuilder) -> str:
        key = await call_configured(self._configured, "api_key", provider=self._provider, errors=errors)
        if key is None:
            return ""
        if not isinstance(key, str):
            message = f"The function of api_key returned {type(key).__name__}, not a string."
            raise errors.error("missing_key", message)
        return key.strip()

    async def _from_keyring(self, errors: ErrorBuilder) -> str:
        if not has_keyring():
            raise errors.error("missing_key", "The keyring needs a package: pip install 'jupyter_bgstream[keyring]'.")
        try:
            key = await run_in_daemon_thread(
                lambda: import_module("keyring").get_password(KEYRING_SERVICE, self._provider),
                seconds=KEYRING_SECONDS,
                name=f"keyring-{self._provider}",
            )
        except TimeoutError:
            message = f"The keyring did not answer within {KEYRING_SECONDS:g} s; it may be locked."
            raise errors.error("missing_key", message) from None
        except Exception as error:
            raise errors.error("missing_key", f"The keyring failed: {type(error).__name__}.") from None
        return str(key or "").strip()


async def call_configured(function: Callable[[], Any], setting: str, *, provider: str, errors: ErrorBuilder) -> Any:
    """Call a function of the config; raise ProviderError (``missing_key``) if it fails or takes too long."""
    try:
        return await run_in_daemon_thread(function, seconds=FUNCTION_SECONDS, name=f"config-{provider}")
    except TimeoutError:
        message = f"The function of {setting} did not return within {FUNCTION_SECONDS:g} s."
        raise errors.error("missing_key", message) from None
    except Exception as error:  # its message may hold a secret
        message = f"The function of {setting} raised {type(error).__name__}."
        raise errors.error("missing_key", message) from None


def has_keyring() -> bool:
    """Return whether the package keyring is installed, without importing it."""
    return find_spec("keyring") is not None


def _problem(key: str) -> str | None:
    return None if key.isascii() and key.isprintable() else _INVALID
