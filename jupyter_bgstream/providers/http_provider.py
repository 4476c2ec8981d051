"""One configured service: a job goes out as an HTTP request, and what it says comes in as events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..core.errors import InvalidRequestError, ProviderError
from ..core.events import Completed, Usage
from ..core.job import Job
from ..core.messages import Message
from ..core.state import ErrorInfo
from .base import MAX_MODELS, ProviderEvent, ProviderStatus
from .context_window import RequestSize, certain_overflow
from .daemon_threads import run_in_daemon_thread
from .endpoint import Endpoint, can_be_sent
from .errors import ErrorBuilder
from .formats import LASTING, Decoder, Request, ResumableFormat, format_of
from .formats.base import decoded, model_name
from .keys import Key
from .pricing import priced
from .response_reader import closed, read
from .resume import ResumableStream
from .sanitize import Sanitizer
from .transport import Call, Route, ask

STATUS_SECONDS = 3.0
LISTING_BYTES = 4 * 1024 * 1024  # of a list of models
HEADER_SECONDS = 10.0  # that a function which makes a header may take
ABANDON_SECONDS = 5.0
_UNLISTED = (404, 405, 501)  # HTTP statuses of a service that has no list of models
ANSWER_BYTES = 128 * 1024 * 1024  # of an answer as a whole, with its searches and pictures

log = logging.getLogger(__name__)


class HTTPProvider:
    """A Provider of one format at one endpoint. The key is looked up at each call and kept nowhere."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,  # between tries to go on with an answer
        keyring: bool = False,
        meant: bool = True,
    ) -> None:
        self.name = name
        self._meant = meant  # False: it is only there to be tried
        self._endpoint = endpoint
        self._format = format_of(endpoint.format, endpoint.dialect, done_is_end=endpoint.done_is_end)
        self._lasting = LASTING.get(endpoint.format)
        self._key = Key(name, endpoint, environ=environ, keyring=keyring)
        self._route = Route(
            proxy=endpoint.proxy, ca_bundle=endpoint.ca_bundle, connect_timeout=endpoint.connect_timeout
        )
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"HTTPProvider({self.name!r}, {self._endpoint!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield what the service says, in batches as they come; the last event is Completed.

        Raises ProviderError; what was said before it has been yielded. Closing the generator closes the socket.
        """
        errors, headers = await self._opening(model_name(job), RequestSize.of(job))
        if job.resume is None:
            endpoint = self._endpoint
            length = await certain_overflow(
                job, model=model_name(job), base_url=endpoint.base_url, headers=endpoint.headers
            )
            if length is not None:
                raise errors.too_long("It was not sent.", length)
        if self._lasting is not None:
            batches = await self._resuming(self._lasting, job, errors, headers)
        elif job.resume is not None:  # from a time when its settings were others
            raise errors.error("answer_gone", f"The format {self._format.name} cannot go on with an answer.")
        else:
            batches = self._once(job, errors, headers)
        screen = Sanitizer(self.name, errors)
        async with aclosing(batches):
            async for batch in batches:
                # What was counted comes last, or before the end.
                counted = isinstance(batch[-1], Usage | Completed)
                if said := screen.passed(await self._priced(batch, job) if counted else batch):
                    yield said

    async def cancel_response(self, job: Job) -> None:
        """Tell the service that nobody wants the answer any more. Within ABANDON_SECONDS; never raises."""
        if self._lasting is None or job.resume is None:
            return
        try:
            errors, headers = await self._opening(model_name(job))
            await self._asked(self._lasting.cancel(job.resume), headers, errors, ABANDON_SECONDS, ANSWER_BYTES)
        except (ProviderError, msgspec.MsgspecError) as error:
            code = error.code if isinstance(error, ProviderError) else "no token"
            log.warning("job %s: %s cannot be told that nobody wants its answer (%s)", job.id, self.name, code)

    def check(self, messages: Sequence[Message]) -> None:
        """Raise InvalidRequestError for a part that the format cannot send."""
        for turn, message in enumerate(messages):
            for place, part in enumerate(message.parts):
                if (why := self._format.lacks(part)) is not None:
                    raise InvalidRequestError(why, field=f"messages[{turn}].content[{place}]")

    async def status(self) -> ProviderStatus:
        """Return which models there are, or why that cannot be said; never raises.

        The service has STATUS_SECONDS to answer, and where its key comes from what ``keys`` and ``aside`` allow.
        """
        if self._key.lacking() == "" and self._key.variables and not self._meant:
            words = f"Not configured: set {self._key.variables}."
            fault = ErrorInfo(code="missing_key", message=words)
            return ProviderStatus(name=self.name, kind=self._format.name, error=fault, configured=False)
        note = None
        try:
            if not (models := self._endpoint.models):
                models, missing = await self._names()
                note = None if missing is None else self._unlisted(missing)
        except ProviderError as error:
            fault, configured = ErrorInfo(code=error.code, message=error.message), True
            if not self._meant and not self.wants_key:
                words = f"Not running: nothing of the kind answers at {self._endpoint.base_url}."
                fault, configured = ErrorInfo(code="unreachable", message=words), False
            return ProviderStatus(name=self.name, kind=self._format.name, error=fault, configured=configured)
        return ProviderStatus(
            name=self.name,
            kind=self._format.name,
            models=tuple(f"{self.name}/{model}" for model in models),
            note=note,
        )

    async def price(self, model: str, usage: Usage) -> Usage:
        """Return counts with what they cost by list prices, where these are known; ``model`` is the full name."""
        how = {"provider": self.name, "model": model.partition("/")[2], "base_url": self._endpoint.base_url}
        return await asyncio.to_thread(priced, usage, **how)

    def config_error(self) -> ErrorInfo | None:
        """Return why this service cannot be asked: its key is not here."""
        if (problem := self._key.lacking()) is None:
            return None
        error = self._errors("").error("missing_key", problem)
        return ErrorInfo(code=error.code, message=error.message)

    @property
    def accepts_returned_images(self) -> bool:
        """Whether its models are shown the pictures of answers again in the next turns of a thread."""
        return self._endpoint.format in ("gemini", "responses") or self._endpoint.dialect == "openrouter"

    @property
    def wants_key(self) -> bool:
        """Whether it can only be asked with a key."""
        return self._key.wanted

    @property
    def key_at_hand(self) -> bool:
        """Whether there is a key for sure, without asking anybody for it."""
        return self._key.at_hand

    async def has_key(self) -> bool:
        """Return whether there is a key, asking for it where that must be; never raises."""
        if self._key.lacking() is not None:
            return False
        try:
            return bool(await self._key.look_up(self._errors("")))
        except ProviderError:
            return False

    async def _priced(self, said: Sequence[ProviderEvent], job: Job) -> Sequence[ProviderEvent]:
        return [await self.price(job.spec.model, each) if isinstance(each, Usage) else each for each in said]

    async def _once(
        self, job: Job, errors: ErrorBuilder, headers: dict[str, str]
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        # An answer that lives as long as its connection.
        decoder, broken = self._format.decoder(errors), None
        try:
            request = await _built(self._format.request, job, errors)
            async with aclosing(read(self._call(request, headers, job), decoder, errors)) as batches:
                async for batch in batches:
                    yield batch
        except ProviderError as error:
            broken = error
        if end := await closed(decoder, broken):
            yield end
        if decoder.error is not None:
            raise decoder.error

    async def _resuming(
        self, lasting: ResumableFormat, job: Job, errors: ErrorBuilder, headers: dict[str, str]
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        def connected(request: Request, decoder: Decoder, left: float) -> AsyncGenerator[Sequence[ProviderEvent], None]:
            call = self._call(request, headers, job)
            return read(msgspec.structs.replace(call, total_timeout=left), decoder, errors)

        def ask(request: Request, seconds: float) -> Awaitable[bytes]:
            return self._asked(request, headers, errors, seconds, ANSWER_BYTES)

        begin = None
        if job.resume is None:
            begin = await _built(lasting.lasting if self._endpoint.background else lasting.request, job, errors)
        total = self._endpoint.total_timeout
        return ResumableStream(lasting, errors, read=connected, ask=ask, sleep=self._sleep, total_timeout=total).run(
            begin, job.resume
        )

    async def _names(self) -> tuple[tuple[str, ...], str | None]:
        # The models, or what came instead of a list of them from a service that can be asked all the same.
        errors, headers = await self._opening("")
        try:
            body = await self._asked(self._format.models, headers, errors, STATUS_SECONDS, LISTING_BYTES)
        except ProviderError as error:
            if error.status in _UNLISTED and (self._meant or self.wants_key):
                return (), f"HTTP {error.status}"
            raise
        if not body.lstrip().startswith((b"{", b"[")) and (self._meant or self.wants_key):
            return (), "no JSON"
        # Another name than its own would ask for nothing.
        names = tuple(filter(errors.is_clean, self._format.names(decoded(body, errors))[:MAX_MODELS]))
        return names, None if names else "an empty list"

    def _unlisted(self, came: str) -> str:
        return (
            f"This service has no list of models: ask a model by its full name, such as {self.name}/NAME. (From"
            f" {self._endpoint.url(self._format.models.path)} came {came}; if asking fails too, check base_url.)"
        )

    async def _asked(
        self, request: Request, headers: dict[str, str], errors: ErrorBuilder, seconds: float, most: int
    ) -> bytes:
        url = self._endpoint.url(request.path)
        return await ask(
            url,
            headers=request.headers | headers,
            seconds=seconds,
            most=most,
            errors=errors,
            body=request.body,
            route=self._route,
        )

    def _call(self, request: Request, headers: dict[str, str], job: Job) -> Call:
        return Call(
            url=self._endpoint.url(request.path),
            headers=request.headers | headers,
            body=request.body,
            media_type=self._format.media_type,
            idle_timeout=job.spec.idle_timeout or self._endpoint.idle_timeout,
            total_timeout=self._endpoint.total_timeout,
            route=self._route,
        )

    async def _opening(self, model: str, size: RequestSize | None = None) -> tuple[ErrorBuilder, dict[str, str]]:
        # What every request begins with: the headers, and errors that know what in them is secret.
        errors = self._errors(model)
        key = await self._key.look_up(errors)
        errors = self._errors(model, key)
        headers = {name: await self._header(name, value, errors) for name, value in self._endpoint.headers.items()}
        if not key:
            return self._errors(model, *headers.values(), size=size), headers
        named = self._endpoint.key_header
        return self._errors(model, key, *headers.values(), size=size), (
            {named: key} if named else self._format.headers(key)
        ) | headers

    async def _header(self, name: str, value: Any, errors: ErrorBuilder) -> str:
        if callable(value):
            try:
                value = await run_in_daemon_thread(value, seconds=HEADER_SECONDS, name=f"header-{self.name}")
            except TimeoutError:
                words = f"The function of the header {name} did not return within {HEADER_SECONDS:g} s."
                raise errors.error("missing_key", words) from None
            except Exception as error:  # its words may hold what nobody shall see
                words = f"The function of the header {name} raised {type(error).__name__}."
                raise errors.error("missing_key", words) from None
        if not can_be_sent(value):
            raise errors.error("missing_key", f"The function of the header {name} returned what cannot be sent.")
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


async def _built(build: Callable[[Job, ErrorBuilder], Request], job: Job, errors: ErrorBuilder) -> Request:
    # Pictures and files may have megabytes, and are turned into text: too long for the loop that the kernels live on.
    if any(message.attachments for message in (*job.history, *job.spec.messages)):
        return await asyncio.to_thread(build, job, errors)
    return build(job, errors)
