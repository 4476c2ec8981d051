"""One configured service: a job goes out as an HTTP request, and what it says comes in as events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from ..core.errors import ProviderError
from ..core.events import Usage
from ..core.job import Job
from ..core.machine import Fault
from .base import ProviderStatus, Said
from .endpoint import Endpoint
from .faults import Faults
from .formats import LASTING, Decoder, Lasting, Request, format_of
from .formats.base import model_name
from .prices import priced
from .resuming import Resuming
from .transport import Call, ask, stream

STATUS_SECONDS = 3.0
ABANDON_SECONDS = 5.0
REST_SECONDS = 5.0  # for what may follow a finish_reason, such as usage, where no [DONE] does

log = logging.getLogger(__name__)


class HTTPService:
    """A Provider of one format at one endpoint. The key is looked up at each call and kept nowhere."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        environ: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,  # between tries to go on with an answer
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._format = format_of(endpoint.format, endpoint.dialect)
        self._lasting = LASTING.get(endpoint.format)
        self._environ = environ
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"HTTPService({self.name!r}, {self._endpoint!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[Said], None]:
        """Yield what the service says, in batches as they come; the last event is Completed.

        Raises ProviderError; what was said before it has been yielded. Closing the generator closes the socket.
        """
        faults, headers = self._opening(model_name(job))
        if self._lasting is not None:
            batches = self._resuming(self._lasting, job, faults, headers)
        elif job.resume is not None:  # from a time when its settings were others
            raise faults.error("answer_gone", f"The format {self._format.name} cannot go on with an answer.")
        else:
            batches = self._once(job, faults, headers)
        async with aclosing(batches):
            async for batch in batches:
                yield await self._priced(batch, job)

    async def abandon(self, job: Job) -> None:
        """Tell the service that nobody wants the answer any more. Within ABANDON_SECONDS; never raises."""
        if self._lasting is None or job.resume is None:
            return
        try:
            faults, headers = self._opening(model_name(job))
            await self._asked(self._lasting.cancel(job.resume), headers, faults, ABANDON_SECONDS)
        except (ProviderError, msgspec.MsgspecError) as error:
            code = error.code if isinstance(error, ProviderError) else "no token"
            log.warning("job %s: %s cannot be told that nobody wants its answer (%s)", job.id, self.name, code)

    async def status(self) -> ProviderStatus:
        """Return which models there are, or why that cannot be said. Within STATUS_SECONDS; never raises."""
        try:
            models = self._endpoint.models or await self._names()
        except ProviderError as error:
            fault = Fault(code=error.code, message=error.message)
            return ProviderStatus(name=self.name, kind=self._format.name, error=fault)
        return ProviderStatus(
            name=self.name, kind=self._format.name, models=tuple(f"{self.name}/{model}" for model in models)
        )

    def unready(self) -> Fault | None:
        """Return why this service cannot be asked: its key is not here."""
        try:
            self._opening("")
        except ProviderError as error:
            return Fault(code=error.code, message=error.message)
        return None

    async def _priced(self, said: Sequence[Said], job: Job) -> Sequence[Said]:
        if not any(isinstance(event, Usage) for event in said):
            return said
        how = {"provider": self.name, "model": model_name(job), "base_url": self._endpoint.base_url}
        return [await asyncio.to_thread(priced, each, **how) if isinstance(each, Usage) else each for each in said]

    async def _once(self, job: Job, faults: Faults, headers: dict[str, str]) -> AsyncGenerator[Sequence[Said], None]:
        # An answer that lives as long as its connection.
        decoder, broken = self._format.decoder(faults), None
        try:
            request = self._format.request(job, faults)
            async with aclosing(_read(self._call(request, headers, job), decoder, faults)) as batches:
                async for batch in batches:
                    yield batch
        except ProviderError as error:
            broken = error
        if end := decoder.close(broken):
            yield end
        if decoder.error is not None:
            raise decoder.error

    def _resuming(
        self, lasting: Lasting, job: Job, faults: Faults, headers: dict[str, str]
    ) -> AsyncGenerator[Sequence[Said], None]:
        def read(request: Request, decoder: Decoder, left: float) -> AsyncGenerator[Sequence[Said], None]:
            call = self._call(request, headers, job)
            return _read(msgspec.structs.replace(call, total_timeout=left), decoder, faults)

        def ask(request: Request, seconds: float) -> Awaitable[bytes]:
            return self._asked(request, headers, faults, seconds)

        begin = None
        if job.resume is None:
            begin = (lasting.lasting if self._endpoint.background else lasting.request)(job, faults)
        total = self._endpoint.total_timeout
        return Resuming(lasting, faults, read=read, ask=ask, sleep=self._sleep, total_timeout=total).run(
            begin, job.resume
        )

    async def _names(self) -> tuple[str, ...]:
        faults, headers = self._opening("")
        body = await self._asked(self._format.models, headers, faults, STATUS_SECONDS)
        try:
            return tuple(self._format.names(msgspec.json.decode(body)))
        except (msgspec.DecodeError, RecursionError):
            raise faults.no_stream("", body) from None

    async def _asked(self, request: Request, headers: dict[str, str], faults: Faults, seconds: float) -> bytes:
        url = f"{self._endpoint.base_url}{request.path}"
        return await ask(url, headers=headers | request.headers, seconds=seconds, faults=faults, body=request.body)

    def _call(self, request: Request, headers: dict[str, str], job: Job) -> Call:
        return Call(
            url=f"{self._endpoint.base_url}{request.path}",
            headers=headers | request.headers,
            body=request.body,
            media_type=self._format.media_type,
            idle_timeout=job.spec.idle_timeout or self._endpoint.idle_timeout,
            total_timeout=self._endpoint.total_timeout,
        )

    def _opening(self, model: str) -> tuple[Faults, dict[str, str]]:
        # What every request begins with: the headers, and errors that know what in them is secret.
        endpoint = self._endpoint
        key = self._environ.get(endpoint.api_key_env, "").strip() if endpoint.api_key_env else ""
        secrets = (key, *endpoint.headers.values())
        faults = Faults(
            self.name, model=model, key_env=endpoint.api_key_env, secrets=secrets, format=self._format.title
        )
        if not endpoint.api_key_env:
            return faults, endpoint.headers
        if not key:
            raise faults.error("missing_key")
        if not (key.isascii() and key.isprintable()):
            raise faults.error("missing_key", "Its value has characters that no key has.")
        return faults, self._format.headers(key) | endpoint.headers


async def _read(call: Call, decoder: Decoder, faults: Faults) -> AsyncGenerator[Sequence[Said], None]:
    async with aclosing(stream(call, faults)) as body, aclosing(_until_the_end(body, decoder)) as batches:
        async for batch in batches:
            yield batch


async def _until_the_end(body: AsyncGenerator[bytes, None], decoder: Decoder) -> AsyncGenerator[Sequence[Said], None]:
    # Once the answer is whole only so much time is spent on bytes that say nothing more, heartbeats included.
    clock = asyncio.get_running_loop().time
    left = REST_SECONDS
    while not decoder.ended:
        asked = clock()
        try:
            async with asyncio.timeout(left if decoder.settled else None):
                chunk = await anext(body, None)
        except TimeoutError:
            return
        if chunk is None:
            return
        if decoder.settled:
            left -= clock() - asked
        if batch := decoder.feed(chunk):
            left = REST_SECONDS  # some services give a finish_reason with every delta
            yield batch
