"""Who is asking: the tenant owns jobs, the viewer reads notices, and a kernel comes with a token for this API alone."""

from __future__ import annotations

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

# Under these, Jupyter makes up a new name for each browser and each token request: they name nobody.
_ANONYMOUS = (IdentityProvider, PasswordIdentityProvider)


class IdentityUnavailableError(HTTPError):
    """The identity provider cannot tell who asks, such as a JupyterHub that is down.

    The provider's own error names internal addresses, and goes to the log only.
    """

    retry_after = 5  # seconds

    def __init__(self) -> None:
        name = "JupyterHub" if "JUPYTERHUB_USER" in os.environ else "The identity provider"
        super().__init__(
            503, f"{name} could not check who sent this request. Try again in a moment; jobs go on meanwhile"
        )


def tenant() -> str:
    """Return who owns the jobs of this server: the Hub's user, else everybody who may use it."""
    return os.environ.get("JUPYTERHUB_USER") or "local"


def is_on_hub() -> bool:
    """Return whether a JupyterHub has started this server."""
    return bool(os.environ.get("JUPYTERHUB_USER") or os.environ.get("JUPYTERHUB_SERVICE_PREFIX"))


def viewer(provider: IdentityProvider, user: User) -> str:
    """Return whose inbox and mutes a request means: a person's, else the Hub's user's, or "" where all are one.

    On a Hub a kernel means its user, so that what a cell reads or mutes is read or muted in the user's page.
    """
    return person(provider, user) or os.environ.get("JUPYTERHUB_USER", "")


def person(provider: IdentityProvider, user: User) -> str:
    """Return the user name of a person, or "" for a kernel and where users have no names."""
    return user.username if user is not KERNEL and _names_people(provider) else ""


def _names_people(provider: IdentityProvider) -> bool:
    """Return whether user names are people's; a login handler of a deployment, such as a Hub's, may supply them."""
    if type(provider) is LegacyIdentityProvider:
        get_user: Any = provider.login_handler_class.get_user  # type: ignore[attr-defined]  # Jupyter calls it as well
        own: Any = LegacyLoginHandler.get_user
        return getattr(get_user, "__func__", get_user) is not own.__func__
    return type(provider) not in _ANONYMOUS


def person_name(username: str) -> str | None:
    """Return a user name fit to be stored and shown, or None if nothing is left of it.

    The name comes from outside: it becomes one line of printable characters, at most MAX_NAME_LENGTH of them.
    """
    shown = "".join(char for char in username if char.isprintable() or char.isspace())
    name = " ".join(shown.split())
    return (name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1].rstrip()}…") or None


class KernelIdentity:
    """Stands before Jupyter's identity provider on our routes and lets the kernels' token in as well."""

    def __init__(self, inner: IdentityProvider, token: str) -> None:
        self.inner = inner
        self._token = token.encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def get_user(self, handler: RequestHandler) -> Any:
        """Return the kernel, or whoever Jupyter says it is.

        Raises:
            IdentityUnavailableError: Jupyter's identity provider cannot tell.

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
        """Return whether a token came with the request: then it needs no XSRF cookie."""
        return self.is_kernel(handler) or bool(self.inner.is_token_authenticated(handler))

    def should_check_origin(self, handler: RequestHandler) -> bool:
        """Return whether the request may be a browser's."""
        return not self.is_kernel(handler) and bool(self.inner.should_check_origin(handler))

    def is_kernel(self, handler: RequestHandler) -> bool:
        """Return whether the request carries the kernels' token."""
        scheme, _, given = handler.request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() in ("token", "bearer") and hmac.compare_digest(given.strip().encode(), self._token)


class KernelAuthorizer:
    """Lets kernels pass, since their token opens this API alone; asks Jupyter's authorizer about everybody else."""

    def __init__(self, inner: Authorizer) -> None:
        self._inner = inner

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> Any:
        """Return whether the user may do it."""
        return True if user is KERNEL else self._inner.is_authorized(handler, user, action, resource)
