"""Who is asking: the tenant owns jobs, the viewer reads notices, and a kernel comes with a token for this API alone."""

from __future__ import annotations

import hmac
import os
from typing import Any

from jupyter_server.auth import Authorizer, IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider
from tornado.web import RequestHandler

KERNEL = User(username="bgstream-kernel", name="A kernel of this server")

# Under these, Jupyter makes up a new name for each browser and each token request: they name nobody.
_ANONYMOUS = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)


def tenant() -> str:
    """Return who owns the jobs of this server: the Hub's user, else everybody who may use it."""
    return os.environ.get("JUPYTERHUB_USER") or "local"


def viewer(provider: IdentityProvider, user: User) -> str:
    """Return whose read state a request has: a real person's name, or "" where all are one."""
    if type(provider) in _ANONYMOUS or user is KERNEL:
        return ""
    return user.username


class KernelIdentity:
    """Stands before Jupyter's identity provider on our routes and lets the kernels' token in as well."""

    def __init__(self, inner: IdentityProvider, token: str) -> None:
        self.inner = inner
        self._token = token.encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def get_user(self, handler: RequestHandler) -> Any:
        """Return the kernel, or whoever Jupyter says it is."""
        return KERNEL if self.is_kernel(handler) else self.inner.get_user(handler)

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
