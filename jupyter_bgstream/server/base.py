"""Base request handlers: authentication, authorization, query parameters and error responses."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from jupyter_core.utils import ensure_async
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
from ..core.job import JobSource
from ..core.request_checks import MAX_BODY
from ..core.schemas.server_info import ErrorResponse
from ..engine.engine import Engine
from .engine_state import Backend
from .identity import IdentityUnavailableError, KernelAuthorizer, KernelIdentity, person, person_name, viewer
from .request_bodies import JobSubmission

AUTH_RESOURCE = "bgstream"
SETTING = "jupyter_bgstream"
VERBS = ("get", "head", "post", "put", "patch", "delete")
MAX_PAGE = 500  # items in one response
PAGE = 50  # items by default

# Codes of the errors that Jupyter and tornado raise themselves.
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
Choice = TypeVar("Choice", bound=str)


class BaseHandler(JupyterHandler):
    """A request to this API by a browser, a script, or a kernel with its own token."""

    auth_resource = AUTH_RESOURCE

    @property
    def backend(self) -> Backend:
        """The state that the application shares with its routes."""
        backend: Backend = self.settings[SETTING]
        return backend

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            UnavailableError: There is no engine.

        """
        if self.backend.engine is None:
            raise UnavailableError(self.backend.reason, retry_after=self.backend.retry_after)
        return self.backend.engine

    @property
    def owner(self) -> str:
        """The owner of the jobs of this server."""
        return self.backend.owner

    @property
    def viewer(self) -> str:
        """The person whose inbox the request reads."""
        return viewer(super().identity_provider, self.current_user)

    @property
    def submitted_by(self) -> str | None:
        """The name of the request's sender; None for a kernel, or without named users."""
        return person_name(person(super().identity_provider, self.current_user))

    @property
    def identity_provider(self) -> Any:
        """Jupyter's identity provider, which also accepts the token of kernels."""
        return KernelIdentity(super().identity_provider, self.backend.token)

    @property
    def authorizer(self) -> Any:
        """Jupyter's authorizer, except for kernels."""
        return KernelAuthorizer(super().authorizer)

    def check_xsrf_cookie(self) -> None:
        """Check the XSRF cookie, except for a request with the token of kernels, which no browser sends by itself.

        Jupyter's own check asks the identity provider about this; the check of JupyterHub does not.
        """
        if not self.identity_provider.is_kernel(self):
            super().check_xsrf_cookie()

    def answer(self, value: object, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(encode(value))

    def no_content(self) -> None:
        """Finish without a body."""
        self.set_status(204)
        self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Finish with an error of Jupyter or tornado in the form of our own errors."""
        error = kwargs.get("exc_info", (None, None))[1]
        template = getattr(error, "log_message", None)
        reason = template % error.args if template and error else HTTPStatus(status_code).phrase
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(verb.upper() for verb in verbs(type(self)))
            self.set_header("Allow", allowed)
            reason = f"Method not allowed. Allowed methods: {allowed}"
        if isinstance(error, IdentityUnavailableError):
            self.set_header("Retry-After", str(error.retry_after))
        code = CODES.get(status_code, "internal")
        self.answer(ErrorResponse(code=code, message=f"{reason.rstrip('.')}."), status_code)


def verbs(handler: type[RequestHandler]) -> list[str]:
    """Return the HTTP methods of a route in lower case."""
    return [verb for verb in VERBS if getattr(handler, verb) is not getattr(RequestHandler, verb)]


@web.stream_request_body
class ApiHandler(BaseHandler, APIHandler):
    """A REST route. It receives its body in chunks, so that the body of a refused request is not kept in memory.

    A refusal waits until the body has arrived: after an earlier response tornado closes the connection, and the client
    may see a reset instead of the response. Only a body that is too large is refused at once.
    """

    _refusal: web.HTTPError | None = None

    def __init_subclass__(cls) -> None:
        """Support HEAD wherever there is GET; tornado then sends the headers alone."""
        super().__init_subclass__()
        if "get" in vars(cls) and "head" not in vars(cls):
            cls.head = cls.get

    def check_xsrf_cookie(self) -> None:
        """Refuse, as Jupyter does, a request that a page of another site may have sent."""
        try:
            super().check_xsrf_cookie()
        except web.HTTPError as refusal:
            self._refuse_later(refusal)

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler does
        """Refuse unauthenticated requests, even where Jupyter allows them, and bodies that are announced too large."""
        self._body = bytearray()
        self._too_large = False
        try:
            await super().prepare()
            if self.current_user is None and self.request.method != "OPTIONS":
                raise web.HTTPError(403)
        except web.HTTPError as refusal:
            self._refuse_later(refusal)
        if int(self.request.headers.get("Content-Length", 0)) > self._max_body:
            raise self._refusal or web.HTTPError(413, self._too_large_message)

    @property
    def _max_body(self) -> int:
        # Beyond Jupyter's own limit tornado only closes the connection.
        return int(min(MAX_BODY, self.settings["serverapp"].max_body_size))

    @property
    def _too_large_message(self) -> str:
        return f"The body of a request may have at most {self._max_body / 2**20:.3g} MiB"

    def _refuse_later(self, refusal: web.HTTPError) -> None:
        verb = getattr(self, (self.request.method or "").lower(), None)
        if not getattr(verb, "is_endpoint", False):  # no endpoint would raise it later
            raise refusal
        self._refusal = self._refusal or refusal

    def get_query_argument(self, name: str, default: Any = None, strip: bool = True) -> Any:
        """Return the last value of a query parameter, or the default."""
        values = self.get_query_arguments(name, strip)
        return values[-1] if values else default

    def get_query_arguments(self, name: str, strip: bool = True) -> list[str]:
        """Return the values of a query parameter.

        Control characters stay: tornado replaces them by spaces, which would name another thread.
        """
        values = [self.decode_argument(value, name) for value in self.request.query_arguments.get(name, [])]
        return [value.strip() for value in values] if strip else values

    def check_query(self, *known: str) -> None:
        """Check that the query has known parameters only.

        Raises:
            InvalidRequestError: A parameter is unknown.

        """
        if unknown := next(iter(self.request.query_arguments.keys() - {*known, "token"}), None):
            names = f"Known parameters: {', '.join(known)}" if known else "This address has none"
            raise InvalidRequestError(f"Unknown query parameter {unknown!r}. {names}.", field=unknown)

    def query_integer(self, name: str, default: int | None, *, minimum: int = 0, maximum: int) -> int | None:
        """Return a query parameter as an integer.

        Raises:
            InvalidRequestError: It is not an integer from ``minimum`` to ``maximum``.

        """
        text = self.get_query_argument(name, strip=False)
        if text is None:
            return default
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(maximum)) + 1
        if not digits or not minimum <= int(text) <= maximum:
            raise InvalidRequestError(
                f"{name} must be an integer from {minimum} to {maximum}, not {text[:60]!r}.", field=name
            )
        return int(text)

    def query_choice(self, name: str, choices: Sequence[Choice], default: Choice) -> Choice:
        """Return a query parameter that is one of some choices.

        Raises:
            InvalidRequestError: It is another value.

        """
        text = self.get_query_argument(name, default)
        for choice in choices:
            if choice == text:
                return choice
        raise InvalidRequestError(f"{name} must be one of {', '.join(choices)}, not {text[:60]!r}.", field=name)

    def query_flag(self, name: str) -> bool:
        """Return whether a query parameter is ``true``; it is ``false`` by default.

        Raises:
            InvalidRequestError: It is neither of the two.

        """
        return self.query_choice(name, ("false", "true"), "false") == "true"

    def query_page(self, default: int = PAGE) -> tuple[int, str | None]:
        """Return the limit and the cursor of a page.

        Raises:
            InvalidRequestError: The limit is not an integer from 1 to MAX_PAGE.

        """
        limit = self.query_integer("limit", default, minimum=1, maximum=MAX_PAGE)
        return limit or default, self.get_query_argument("cursor", strip=False)

    def data_received(self, chunk: bytes) -> None:
        """Buffer a chunk of the body; discard it if the body is too large or the request was refused."""
        self._too_large = self._too_large or len(self._body) + len(chunk) > self._max_body
        if not self._too_large and self._refusal is None:
            self._body += chunk

    def check_refused(self) -> None:
        """Raise the refusal of this request, if there is one, after its body has arrived."""
        if self._refusal is not None:
            raise self._refusal

    def take_body(self) -> bytes:
        """Return the body and release the buffer.

        Raises:
            TooLargeError: The body is too large.

        """
        if self._too_large:
            raise TooLargeError(f"{self._too_large_message}.")
        body, self._body = bytes(self._body), bytearray()
        return body

    def compute_etag(self) -> None:
        """Make no ETag of a body; handlers set their own."""

    def refuse(self, error: RequestError) -> None:
        """Finish with the code and message of an error. No other place maps our errors to HTTP."""
        if isinstance(error, QueueFullError | UnavailableError) and error.retry_after is not None:
            self.set_header("Retry-After", str(error.retry_after))
        self.answer(error_response(error), error.status)


class SubmitHandler(ApiHandler):
    """A route that accepts jobs."""

    async def default_model_for(self, *submissions: JobSubmission) -> str | None:
        """Return the default model if a submission needs it; to choose it may mean a request to a local server."""
        unnamed = [submission for submission in submissions if not submission.model]
        if not unnamed:
            return None
        if (job_id := unnamed[0].id) is not None:
            # A repeated submission is the same job, even if the default has changed. A batch stores its jobs together.
            with suppress(NotFoundError):
                return (await self.engine.jobs.get(self.owner, job_id)).spec.model
        default = await self.engine.default()
        return None if default is None else default.model

    async def with_notebook(self, source: JobSource) -> JobSource:
        """Return a source with the notebook of its kernel, if that is known.

        Jupyter knows the current path of a kernel's notebook; the kernel only knows the path at its start.
        """
        if not source.kernel or source.notebook:
            return source
        sessions: list[dict[str, Any]]
        try:
            sessions = await ensure_async(self.session_manager.list_sessions())  # type: ignore[no-untyped-call]
        except Exception:  # a failure of Jupyter's sessions is no reason to refuse a job
            self.log.warning("cannot look up the notebook of kernel %r", source.kernel, exc_info=True)
            return source
        notebook = next((session["path"] for session in sessions if session["kernel"]["id"] == source.kernel), None)
        return msgspec.structs.replace(source, notebook=notebook)


def error_response(error: RequestError) -> ErrorResponse:
    """Return an error as REST and the socket send it."""
    field = error.field if isinstance(error, InvalidRequestError) else None
    return ErrorResponse(code=error.code, message=error.message, field=field)


def endpoint(method: Method) -> Method:
    """Make a method a verb of a route: authenticated, authorized, with error responses.

    Each use makes its own ``authorized`` wrapper, which remembers action and resource of its first call.
    """

    @wraps(method)
    async def answered(self: ApiHandler, *args: str) -> None:
        try:
            self.request.body = self.take_body()
            await self.backend.wait_settled()
            await method(self, *args)
        except RequestError as error:
            self.refuse(error)

    allowed: Method = web.authenticated(authorized(answered))  # type: ignore[assignment]

    @wraps(method)
    async def guarded(self: ApiHandler, *args: str) -> None:
        self.check_refused()
        answering: Awaitable[None] | None = allowed(self, *args)
        if answering is not None:  # else the request was redirected to the login page
            await answering

    guarded.is_endpoint = True  # type: ignore[attr-defined]  # checked by the test that visits all routes
    return guarded


async def _raise_not_found(self: ApiHandler) -> None:
    raise NotFoundError(f"There is nothing at {self.request.path[:200]}. GET openapi.json lists all addresses.")


class NotFoundHandler(ApiHandler):
    """All other addresses below ``api/bgstream``."""

    get, head, post, put, patch, delete = (endpoint(_raise_not_found) for _ in VERBS)
