"""What all routes share: who asks, what they may, and how an error is said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from http import HTTPStatus
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web
from tornado.web import RequestHandler

from ..core.codec import encode
from ..core.errors import (
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    RequestError,
    TooLargeError,
    UnavailableError,
)
from ..core.limits import MAX_BODY
from ..engine.service import Service
from .identity import IdentityUnavailableError, KernelAuthorizer, KernelIdentity, person, person_name, tenant, viewer
from .save_leases import SaveLeases

AUTH_RESOURCE = "bgstream"
SETTING = "jupyter_bgstream"
HOLD_SECONDS = 12.0  # for which a request waits while the engine starts: a dead machine's lease takes 10
STARTING = "jupyter_bgstream is still starting; try again in a moment."
STOPPING = "This server is shutting down; submit the job again in a moment."
VERBS = ("get", "head", "post", "put", "patch", "delete")

# What Jupyter and tornado refuse before we are asked.
CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    503: "unavailable",
}

Method = Callable[..., Awaitable[None]]


class Backend:
    """The state that the application shares with its routes: the engine, or the reason why there is none."""

    def __init__(self, *, token: str) -> None:
        self.token = token  # the kernels'
        self.owner = tenant()
        self.service: Service | None = None
        self.writers = SaveLeases()
        self.problems: list[str] = []  # what is wrong in the config, as sentences
        self.warnings: list[str] = []  # what has failed since, as sentences
        self.reason = STARTING  # why there is no engine
        self.retry_after: int | None = 1  # seconds until there may be one
        self.settled = asyncio.Event()  # the first try to start has succeeded or failed, or the server stops

    def open(self, service: Service) -> None:
        """Let requests through to the engine."""
        self.service = service
        self.settled.set()

    def refuse(self, reason: str, *, retry_after: int | None) -> None:
        """Refuse requests with a reason."""
        self.reason = reason
        self.retry_after = retry_after
        self.settled.set()

    def close(self) -> Service | None:
        """Refuse requests because the server stops; return the engine, if there is one."""
        service, self.service = self.service, None
        self.refuse(STOPPING, retry_after=None)
        return service

    async def wait_settled(self) -> None:
        """Hold a request in the first moment of the server's life."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                await self.settled.wait()


class BaseHandler(JupyterHandler):
    """A request to this API: by a browser, a script, or a kernel with its own token."""

    auth_resource = AUTH_RESOURCE

    @property
    def backend(self) -> Backend:
        """What the application gave."""
        backend: Backend = self.settings[SETTING]
        return backend

    @property
    def service(self) -> Service:
        """The engine; raises UnavailableError while there is none."""
        if self.backend.service is None:
            raise UnavailableError(self.backend.reason, retry_after=self.backend.retry_after)
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
    def submitted_by(self) -> str | None:
        """Return the name of the person who asks; None for a kernel, or where nobody is named."""
        return person_name(person(super().identity_provider, self.current_user))

    @property
    def identity_provider(self) -> Any:
        """Jupyter's, with our kernels' token let in."""
        return KernelIdentity(super().identity_provider, self.backend.token)

    @property
    def authorizer(self) -> Any:
        """Jupyter's, which is not asked about kernels."""
        return KernelAuthorizer(super().authorizer)

    def check_xsrf_cookie(self) -> None:
        """Check the XSRF cookie, except of a request with the kernels' token, which no browser sends by itself.

        Jupyter's own check asks the identity provider for this; JupyterHub replaces that check.
        """
        if not self.identity_provider.is_kernel(self):
            super().check_xsrf_cookie()

    def answer(self, value: object, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(encode(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Finish what Jupyter or tornado refused in the same form as our own errors."""
        error = kwargs.get("exc_info", (None, None))[1]
        words = getattr(error, "log_message", None)  # a format, whether it has arguments or not
        reason = words % error.args if words and error else HTTPStatus(status_code).phrase
        code = CODES.get(status_code, "internal")
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(verb.upper() for verb in verbs(type(self)))
            self.set_header("Allow", allowed)
            reason = f"This address has no such method; it has {allowed}"
        if isinstance(error, IdentityUnavailableError):
            self.set_header("Retry-After", str(error.retry_after))
        self.answer({"code": code, "message": f"{reason.rstrip('.')}.", "field": None}, status_code)


def verbs(handler: type[RequestHandler]) -> list[str]:
    """Return what may be asked of a route, such as ``get``."""
    return [verb for verb in VERBS if getattr(handler, verb) is not getattr(RequestHandler, verb)]


@web.stream_request_body
class ApiHandler(BaseHandler, APIHandler):
    """A REST route. It takes a body in pieces, so that who is refused has nothing kept in memory.

    A refusal waits until the body has come: an answer before that makes tornado close the connection, and the client
    may then see a reset instead of the answer. Only a body that is too large is not waited for.
    """

    _refusal: web.HTTPError | None = None

    def __init_subclass__(cls) -> None:
        """Answer HEAD where there is GET: tornado then sends the headers alone."""
        super().__init_subclass__()
        if "get" in vars(cls) and "head" not in vars(cls):
            cls.head = cls.get

    def check_xsrf_cookie(self) -> None:
        """Refuse, as Jupyter does, what another site's page may have sent."""
        try:
            super().check_xsrf_cookie()
        except web.HTTPError as refusal:
            self._refuse_later(refusal)

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler does
        """Refuse strangers, whatever Jupyter lets them see elsewhere, and bodies that say they are too large."""
        self._body = bytearray()
        self._too_large = False
        try:
            await super().prepare()
            if self.current_user is None and self.request.method != "OPTIONS":
                raise web.HTTPError(403)
        except web.HTTPError as refusal:
            self._refuse_later(refusal)
        if int(self.request.headers.get("Content-Length", 0)) > self._max_body:
            raise self._refusal or web.HTTPError(413, self._too_much)

    @property
    def _max_body(self) -> int:
        # Beyond Jupyter's own limit tornado only cuts the connection.
        return int(min(MAX_BODY, self.settings["serverapp"].max_body_size))

    @property
    def _too_much(self) -> str:
        return f"A request's body may have at most {self._max_body / 2**20:.3g} MiB"

    def _refuse_later(self, refusal: web.HTTPError) -> None:
        verb = getattr(self, (self.request.method or "").lower(), None)
        if not getattr(verb, "is_endpoint", False):  # nobody would look at it later
            raise refusal
        self._refusal = self._refusal or refusal

    def get_query_argument(self, name: str, default: Any = None, strip: bool = True) -> Any:
        """Return the last value that the query has for a name; else the default."""
        values = self.get_query_arguments(name, strip)
        return values[-1] if values else default

    def get_query_arguments(self, name: str, strip: bool = True) -> list[str]:
        """Return the values that the query has for a name.

        Control characters stay: tornado makes spaces of them, and then a thread is taken for another one.
        """
        values = [self.decode_argument(value, name) for value in self.request.query_arguments.get(name, [])]
        return [value.strip() for value in values] if strip else values

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, unless there is too much of it or nobody will look at it."""
        self._too_large = self._too_large or len(self._body) + len(chunk) > self._max_body
        if not self._too_large and self._refusal is None:
            self._body += chunk

    def check_refused(self) -> None:
        """Raise what was to be said once the body has come."""
        if self._refusal is not None:
            raise self._refusal

    def whole_body(self) -> bytes:
        """Return the body, and keep it no longer; raises TooLargeError."""
        if self._too_large:
            raise TooLargeError(f"{self._too_much}.")
        body, self._body = bytes(self._body), bytearray()
        return body

    def compute_etag(self) -> None:
        """Make no ETag of a body: what has one says so itself."""

    def refuse(self, error: RequestError) -> None:
        """Finish with an error's code and sentence. The one place that maps our errors to HTTP."""
        if isinstance(error, QueueFullError | UnavailableError) and error.retry_after is not None:
            self.set_header("Retry-After", str(error.retry_after))
        self.answer(error_form(error), error.status)


def error_form(error: RequestError) -> dict[str, object]:
    """Return an error as REST and the socket say it."""
    field = error.field if isinstance(error, InvalidRequestError) else None
    return {"code": error.code, "message": error.message, "field": field}


def endpoint(method: Method) -> Method:
    """Make a method a verb of a route: authenticated, authorized, its errors answered.

    Each use makes its own ``authorized`` wrapper, which remembers action and resource of its first call.
    """

    @wraps(method)
    async def answered(self: ApiHandler, *args: str) -> None:
        try:
            self.request.body = self.whole_body()
            await self.backend.wait_settled()
            await method(self, *args)
        except RequestError as error:
            self.refuse(error)

    allowed: Method = web.authenticated(authorized(answered))  # type: ignore[assignment]

    @wraps(method)
    async def guarded(self: ApiHandler, *args: str) -> None:
        self.check_refused()
        answering: Awaitable[None] | None = allowed(self, *args)
        if answering is not None:  # else somebody was sent to the login page
            await answering

    guarded.is_endpoint = True  # type: ignore[attr-defined]  # the test that walks all routes looks for it
    return guarded


async def _nothing(self: ApiHandler) -> None:
    raise NotFoundError(f"There is nothing at {self.request.path[:200]}; GET openapi.json tells what there is.")


class NotFoundHandler(ApiHandler):
    """All other addresses below ``api/bgstream``."""

    get, head, post, put, patch, delete = (endpoint(_nothing) for _ in VERBS)
