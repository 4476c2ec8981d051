"""What all routes share: who asks, what they may, and how an error is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web

from ..core.errors import Invalid, QueueFull, RequestError, Unavailable
from ..core.wire import encode
from ..engine.service import Service
from .identity import KernelAuthorizer, KernelIdentity, tenant, viewer

AUTH_RESOURCE = "bgstream"
SETTING = "jupyter_bgstream"

# What Jupyter and tornado refuse before we are asked.
CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}

Method = Callable[..., Awaitable[None]]


class Backend:
    """What the application gives its routes."""

    def __init__(self, *, token: str) -> None:
        self.token = token  # the kernels'
        self.owner = tenant()
        self.service: Service | None = None
        self.trouble = "jupyter_bgstream is still starting; try again in a moment."


class Caller(JupyterHandler):
    """A request to this API: by a browser, a script, or a kernel with its own token."""

    auth_resource = AUTH_RESOURCE

    @property
    def backend(self) -> Backend:
        """What the application gave."""
        backend: Backend = self.settings[SETTING]
        return backend

    @property
    def service(self) -> Service:
        """The engine; raises Unavailable while there is none."""
        if self.backend.service is None:
            raise Unavailable(self.backend.trouble)
        return self.backend.service

    @property
    def owner(self) -> str:
        """The tenant."""
        return self.backend.owner

    @property
    def viewer(self) -> str:
        """Whose inbox it is."""
        return viewer(super().identity_provider, self.current_user)

    @property
    def identity_provider(self) -> Any:
        """Jupyter's, with our kernels' token let in."""
        return KernelIdentity(super().identity_provider, self.backend.token)

    @property
    def authorizer(self) -> Any:
        """Jupyter's, which is not asked about kernels."""
        return KernelAuthorizer(super().authorizer)


class ApiHandler(Caller, APIHandler):
    """A REST route."""

    def compute_etag(self) -> None:
        """Make no ETag of a body: what has one says so itself."""

    def answer(self, value: object, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(encode(value))

    def refuse(self, error: RequestError) -> None:
        """Finish with an error's code and sentence. The one place that maps our errors to HTTP."""
        if isinstance(error, QueueFull):
            self.set_header("Retry-After", str(error.retry_after))
        self.answer(error_form(error), error.status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Finish what Jupyter or tornado refused in the same form as our own errors."""
        error = kwargs.get("exc_info", (None, None))[1]
        reason = getattr(error, "log_message", None) or HTTPStatus(status_code).phrase
        code = CODES.get(status_code, "internal")
        self.answer({"code": code, "message": f"{reason}.", "field": None}, status_code)


def error_form(error: RequestError) -> dict[str, object]:
    """Return an error as REST and the socket say it."""
    field = error.field if isinstance(error, Invalid) else None
    return {"code": error.code, "message": error.message, "field": field}


def endpoint(method: Method) -> Method:
    """Make a method a verb of a route: authenticated, authorized, its errors answered.

    Each use makes its own ``authorized`` wrapper, which remembers action and resource of its first call.
    """

    @wraps(method)
    async def answered(self: ApiHandler, *args: str) -> None:
        try:
            await method(self, *args)
        except RequestError as error:
            self.refuse(error)

    guarded: Method = web.authenticated(authorized(answered))  # type: ignore[assignment]
    guarded.is_endpoint = True  # type: ignore[attr-defined]  # the test that walks all routes looks for it
    return guarded
