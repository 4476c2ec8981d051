"""A provider with one wire format at one endpoint: a job becomes an HTTP request, its response becomes events."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..core.errors import InvalidRequestError, ProviderError
from ..core.events import Completed, Usage
from ..core.job import Job
from ..core.messages import Message
from ..core.state import ErrorInfo
from .context_window import RequestSize, certain_overflow
from .errors import ErrorBuilder
from .event_limits import Sanitizer
from .formats import Request, Responses, StreamDecoder, format_of
from .formats.stream_decoder import decode_json, model_name
from .keys import Key, call_configured
from .port import MAX_MODELS, ProviderEvent, ProviderStatus
from .pricing import priced
from .provider_settings import ProviderSettings, is_header_value
from .response_reader import close_decoder, read
from .resumable_stream import ResumableStream
from .transport import Call, Route, response_body

STATUS_SECONDS = 3.0
LISTING_BYTES = 4 * 1024 * 1024  # of a list of models
CANCEL_SECONDS = 5.0
_NO_LISTING = (404, 405, 501)  # HTTP statuses of a service without a list of models
RESPONSE_BYTES = 128 * 1024 * 1024  # of a whole response, with its searches and images

log = logging.getLogger(__name__)


class HTTPProvider:
    """A Provider over HTTP. The key is looked up for each call and never stored."""

    def __init__(
        self,
        name: str,
        endpoint: ProviderSettings,
        *,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,  # between connections to one response
        keyring: bool = False,
        configured: bool = True,
    ) -> None:
        self.name = name
        self._configured = configured  # False: a built-in one that the config does not name: it may be absent
        self._endpoint = endpoint
        self._format = format_of(endpoint.format, endpoint.dialect, done_is_end=endpoint.done_is_end)
        self._resumable = self._format if isinstance(self._format, Responses) else None
        self._key = Key(name, endpoint, environ=environ, keyring=keyring)
        self._route = Route(
            proxy=endpoint.proxy, ca_bundle=endpoint.ca_bundle, connect_timeout=endpoint.connect_timeout
        )
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"HTTPProvider({self.name!r}, {self._endpoint!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield the events of one attempt in batches as they arrive, the last one Completed.

        Raises ProviderError after the events before it. Closing the generator closes the socket.
        """
        errors, headers = await self._prepare(model_name(job), RequestSize.of(job))
        if job.resume is None:
            endpoint = self._endpoint
            length = await certain_overflow(
                job, model=model_name(job), base_url=endpoint.base_url, headers=endpoint.headers
            )
            if length is not None:
                raise errors.too_long("It was not sent.", length)
        if self._resumable is not None:
            batches = self._stream_resumable(self._resumable, job, errors, headers)
        elif job.resume is not None:  # the token is of a format that was configured before
            raise errors.error("answer_gone", f"The format {self._format.name} cannot resume a response.")
        else:
            batches = self._stream_once(job, errors, headers)
        sanitizer = Sanitizer(self.name, errors)
        async with aclosing(batches):
            async for batch in batches:
                # Usage is the last event, or the one before Completed.
                has_usage = isinstance(batch[-1], Usage | Completed)
                if events := sanitizer.sanitized(await self._priced(batch, job) if has_usage else batch):
                    yield events

    async def cancel_response(self, job: Job) -> None:
        """Cancel a job's response at the provider, within CANCEL_SECONDS; never raise."""
        if self._resumable is None or job.resume is None:
            return
        try:
            errors, headers = await self._prepare(model_name(job))
            request = self._resumable.cancel(job.resume)
            await response_body(self._call(request, headers, CANCEL_SECONDS), errors, max_bytes=RESPONSE_BYTES)
        except (ProviderError, msgspec.MsgspecError) as error:
            code = error.code if isinstance(error, ProviderError) else "invalid token"
            log.warning("job %s: its response could not be cancelled at %s (%s)", job.id, self.name, code)

    def check(self, messages: Sequence[Message]) -> None:
        """Raise InvalidRequestError for a part that the format cannot send."""
        for turn, message in enumerate(messages):
            for place, part in enumerate(message.parts):
                if (why := self._format.unsupported(part)) is not None:
                    raise InvalidRequestError(why, field=f"messages[{turn}].content[{place}]")

    async def status(self) -> ProviderStatus:
        """Return the models, or why they are missing; never raise.

        The provider has STATUS_SECONDS; the key and headers have the time-outs of ``keys``.
        """
        status = partial(ProviderStatus, name=self.name, kind=self._format.name)
        if self._key.problem() == "" and self._key.variables and not self._configured:
            error = ErrorInfo(code="missing_key", message=f"Not configured: set {self._key.variables}.")
            return status(error=error, configured=False)
        note = None
        try:
            if not (models := self._endpoint.models):
                models, received = await self._list_models()
                note = None if received is None else self._no_listing_note(received)
        except ProviderError as raised:
            error, configured = ErrorInfo(code=raised.code, message=raised.message), True
            if not self._configured and not self.wants_key:
                message = f"Not running: no such server answers at {self._endpoint.base_url}."
                error, configured = ErrorInfo(code="unreachable", message=message), False
            return status(error=error, configured=configured)
        return status(models=tuple(f"{self.name}/{model}" for model in models), note=note)

    async def price(self, model: str, usage: Usage) -> Usage:
        """Return the usage with its cost by list prices, if known; ``model`` is the full name."""
        names = {"provider": self.name, "model": model.partition("/")[2], "base_url": self._endpoint.base_url}
        return await asyncio.to_thread(priced, usage, **names)

    def config_error(self) -> ErrorInfo | None:
        """Return why jobs cannot run: the key is missing."""
        if (problem := self._key.problem()) is None:
            return None
        error = self._errors("").error("missing_key", problem)
        return ErrorInfo(code=error.code, message=error.message)

    @property
    def accepts_returned_images(self) -> bool:
        """Whether its models accept the images of answers in the next turns of a thread."""
        return self._endpoint.format in ("gemini", "responses") or self._endpoint.dialect == "openrouter"

    @property
    def wants_key(self) -> bool:
        """Whether it needs a key."""
        return self._key.wanted

    @property
    def key_at_hand(self) -> bool:
        """Whether there certainly is a key; does not call a function or the keyring."""
        return self._key.at_hand

    async def has_key(self) -> bool:
        """Return whether there is a key; may call its function or the keyring; never raise."""
        if self._key.problem() is not None:
            return False
        try:
            return bool(await self._key.look_up(self._errors("")))
        except ProviderError:
            return False

    async def _priced(self, batch: Sequence[ProviderEvent], job: Job) -> Sequence[ProviderEvent]:
        return [await self.price(job.spec.model, event) if isinstance(event, Usage) else event for event in batch]

    async def _stream_once(
        self, job: Job, errors: ErrorBuilder, headers: dict[str, str]
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        # A response that ends with its connection.
        decoder, connection_error = self._format.decoder(errors), None
        try:
            request = await _build(self._format.request, job, errors)
            async with aclosing(read(self._stream_call(request, headers, job), decoder, errors)) as batches:
                async for batch in batches:
                    yield batch
        except ProviderError as error:
            connection_error = error
        if events := await close_decoder(decoder, connection_error):
            yield events
        if decoder.error is not None:
            raise decoder.error

    async def _stream_resumable(
        self, format: Responses, job: Job, errors: ErrorBuilder, headers: dict[str, str]
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        def read_events(
            request: Request, decoder: StreamDecoder, left: float
        ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
            call = self._stream_call(request, headers, job)
            return read(msgspec.structs.replace(call, total_timeout=left), decoder, errors)

        def ask(request: Request, seconds: float) -> Awaitable[bytes]:
            return response_body(self._call(request, headers, seconds), errors, max_bytes=RESPONSE_BYTES)

        begin = None
        if job.resume is None:
            build = format.background_request if self._endpoint.background else format.request
            begin = await _build(build, job, errors)
        total = self._endpoint.total_timeout
        response = ResumableStream(format, errors, read=read_events, ask=ask, sleep=self._sleep, total_timeout=total)
        async with aclosing(response.run(begin, job.resume)) as batches:
            async for batch in batches:
                yield batch

    async def _list_models(self) -> tuple[tuple[str, ...], str | None]:
        # The models, or what a service without a list of models sent instead.
        errors, headers = await self._prepare("")
        try:
            call = self._call(self._format.models, headers, STATUS_SECONDS)
            body = await response_body(call, errors, max_bytes=LISTING_BYTES)
        except ProviderError as error:
            if error.status in _NO_LISTING and (self._configured or self.wants_key):
                return (), f"HTTP {error.status}"
            raise
        if not body.lstrip().startswith((b"{", b"[")) and (self._configured or self.wants_key):
            return (), "no JSON"
        # A redacted name would be unknown to the provider.
        names = tuple(filter(errors.is_clean, self._format.model_names(decode_json(body, errors))[:MAX_MODELS]))
        return names, None if names else "an empty list"

    def _no_listing_note(self, received: str) -> str:
        return (
            f"This provider has no list of models. Use a model's full name, such as {self.name}/NAME. ("
            f"{self._endpoint.url(self._format.models.path)} returned {received}; if jobs fail too, check base_url.)"
        )

    def _stream_call(self, request: Request, headers: dict[str, str], job: Job) -> Call:
        idle_timeout = job.spec.idle_timeout or self._endpoint.idle_timeout
        accept = {"Accept": self._format.media_type}
        call = self._call(request, accept | headers, self._endpoint.total_timeout)
        return msgspec.structs.replace(call, idle_timeout=idle_timeout)

    def _call(self, request: Request, headers: dict[str, str], total_timeout: float) -> Call:
        return Call(
            url=self._endpoint.url(request.path),
            headers=request.headers | headers,
            body=request.body,
            total_timeout=total_timeout,
            route=self._route,
        )

    async def _prepare(self, model: str, size: RequestSize | None = None) -> tuple[ErrorBuilder, dict[str, str]]:
        # The headers of a request, and an error builder that redacts the secrets in them. Each step reveals further
        # secrets, and its own errors redact the earlier ones.
        errors = self._errors(model)
        key = await self._key.look_up(errors)
        errors = self._errors(model, key)
        headers = {name: await self._header(name, value, errors) for name, value in self._endpoint.headers.items()}
        if not key:
            return self._errors(model, *headers.values(), size=size), headers
        header = self._endpoint.key_header
        return self._errors(model, key, *headers.values(), size=size), (
            {header: key} if header else self._format.headers(key)
        ) | headers

    async def _header(self, name: str, value: Any, errors: ErrorBuilder) -> str:
        if callable(value):
            value = await call_configured(value, f"the header {name}", provider=self.name, errors=errors)
        if not is_header_value(value):
            raise errors.error("missing_key", f"The function of the header {name} returned an invalid header value.")
        return str(value)

    def _errors(self, model: str, *secrets: str, size: RequestSize | None = None) -> ErrorBuilder:
        proxy = urlsplit(self._endpoint.proxy).password if self._endpoint.proxy else None
        return ErrorBuilder(
            self.name,
            model=model,
            key_ways=self._key.ways,
            key_source=self._key.source,
            secrets=(*secrets, *([proxy] if proxy else [])),
            format=self._format.title,
            size=size,
        )


async def _build(build: Callable[[Job, ErrorBuilder], Request], job: Job, errors: ErrorBuilder) -> Request:
    # Images and files may have megabytes, and are encoded as text: too long for the server's event loop.
    if any(message.attachments for message in (*job.history, *job.spec.messages)):
        return await asyncio.to_thread(build, job, errors)
    return build(job, errors)
