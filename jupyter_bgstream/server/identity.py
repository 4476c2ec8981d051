"""Identities: the owner has jobs, the viewer reads notices, and kernels have a token for this API alone."""

import hmac
import logging
import os
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from jupyter_server.auth import Authorizer, IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider
from jupyter_server.auth.login import LegacyLoginHandler
from tornado.web import HTTPError, RequestHandler

_log = logging.getLogger(__name__)

KERNEL = User(username="bgstream-kernel", name="A kernel of this server")

MAX_NAME_LENGTH = 200  # characters of a person's name

# With these, Jupyter generates a new name for each browser and each token request; it is not a person's name.
_ANONYMOUS = (IdentityProvider, PasswordIdentityProvider)


class IdentityUnavailableError(HTTPError):
    """The identity provider failed, such as a JupyterHub that is down.

    The provider's own error names internal addresses, so it is only logged.
    """

    retry_after = 5  # seconds

    def __init__(self) -> None:
        name = "JupyterHub" if "JUPYTERHUB_USER" in os.environ else "The identity provider"
        super().__init__(
            503, f"{name} could not authenticate this request. Try again in a moment; jobs continue meanwhile"
        )


def server_owner() -> str:
    """Return the owner of this server's jobs: the Hub's user, or all users of the server as one."""
    return os.environ.get("JUPYTERHUB_USER") or "local"


def is_on_hub() -> bool:
    """Return whether a JupyterHub has started this server."""
    return bool(os.environ.get("JUPYTERHUB_USER") or os.environ.get("JUPYTERHUB_SERVICE_PREFIX"))


def viewer(provider: IdentityProvider, user: User) -> str:
    """Return the owner of inbox and mutes: the person, else the Hub's user, or "" where people have no names.

    On a Hub, requests of a kernel are those of its user, so that a cell and a page share read state and mutes.
    """
    return person(provider, user) or os.environ.get("JUPYTERHUB_USER", "")


def person(provider: IdentityProvider, user: User) -> str:
    """Return the user name of a person; "" for a kernel and where people have no names."""
    return user.username if user is not KERNEL and _names_people(provider) else ""


def _names_people(provider: IdentityProvider) -> bool:
    """Return whether user names are names of people; the login handler of a deployment may supply them."""
    if type(provider) is LegacyIdentityProvider:
        get_user: Any = provider.login_handler_class.get_user  # type: ignore[attr-defined]  # Jupyter calls it as well
        own: Any = LegacyLoginHandler.get_user
        return getattr(get_user, "__func__", get_user) is not own.__func__
    return type(provider) not in _ANONYMOUS


def person_name(username: str) -> str | None:
    """Return a user name as one line of at most MAX_NAME_LENGTH printable characters, or None if none is left.

    The name is untrusted.
    """
    printable = "".join(char for char in username if char.isprintable() or char.isspace())
    name = " ".join(printable.split())
    return (name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1].rstrip()}…") or None


class KernelIdentity:
    """Jupyter's identity provider, which on our routes also accepts the token of kernels."""

    def __init__(self, inner: IdentityProvider, token: str) -> None:
        self.inner = inner
        self._token = token.encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def get_user(self, handler: RequestHandler) -> Any:
        """Return KERNEL for the token of kernels, else the user according to Jupyter.

        Raises:
            IdentityUnavailableError: Jupyter's identity provider failed.

        """
        if self.is_kernel(handler):
            return KERNEL
        try:
            user = self.inner.get_user(handler)
            return await user if isinstance(user, Awaitable) else user
        except HTTPError as error:
            if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            _log.warning("The identity provider failed: %s", error)
        except Exception:
            _log.exception("The identity provider failed.")
        raise IdentityUnavailableError

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """Return whether the request has a token; then it needs no XSRF cookie."""
        return self.is_kernel(handler) or bool(self.inner.is_token_authenticated(handler))

    def should_check_origin(self, handler: RequestHandler) -> bool:
        """Return whether the request may come from a browser."""
        return not self.is_kernel(handler) and bool(self.inner.should_check_origin(handler))

    def is_kernel(self, handler: RequestHandler) -> bool:
        """Return whether the request has the token of kernels."""
        scheme, _, token = handler.request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() in ("token", "bearer") and hmac.compare_digest(token.strip().encode(), self._token)


class KernelAuthorizer:
    """Jupyter's authorizer, except for kernels, whose token opens this API alone."""

    def __init__(self, inner: Authorizer) -> None:
        self._inner = inner

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> Any:
        """Return whether the user may perform the action."""
        return True if user is KERNEL else self._inner.is_authorized(handler, user, action, resource)
