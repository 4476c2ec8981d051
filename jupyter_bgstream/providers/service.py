"""One configured service: a job goes out as an HTTP request, and what it says comes in as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import msgspec

from ..core.errors import ProviderError
from ..core.events import Usage
from ..core.job import Job
from ..core.machine import Fault
from .base import ProviderStatus, Said
from .endpoint import Endpoint
from .faults import Faults
from .formats import Decoder, Request, format_of
from .formats.base import model_name
from .prices import priced
from .transport import Call, get, stream

STATUS_SECONDS = 3.0
REST_SECONDS = 5.0  # for what may follow a finish_reason, such as usage, where no [DONE] does


class HTTPService:
    """A Provider of one format at one endpoint. The key is looked up at each call and kept nowhere."""

    def __init__(self, name: str, endpoint: Endpoint, *, environ: Mapping[str, str]) -> None:
        self.name = name
        self._endpoint = endpoint
        self._format = format_of(endpoint.format, endpoint.dialect)
        self._environ = environ

    def __repr__(self) -> str:
        return f"HTTPService({self.name!r}, {self._endpoint!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[Said], None]:
        """Yield what the service says, in batches as they come; the last event is Completed.

        Raises ProviderError; what was said before it has been yielded. Closing the generator closes the socket.
        """
        faults, headers = self._opening(model_name(job))
        call = self._call(self._format.request(job, faults), headers, idle_timeout=job.spec.idle_timeout)
        decoder = self._format.decoder(faults)
        broken = None
        async with aclosing(stream(call, faults)) as body:
            try:
                async with aclosing(_until_the_end(body, decoder)) as batches:
                    async for batch in batches:
                        yield await self._priced(batch, job)
            except ProviderError as error:
                broken = error
        if end := decoder.close(broken):
            yield await self._priced(end, job)
        if decoder.error is not None:
            raise decoder.error

    async def status(self) -> ProviderStatus:
        """Return which models there are, or why that cannot be said. Within STATUS_SECONDS; never raises."""
        try:
            models = self._endpoint.models or await self._ask()
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

    async def _ask(self) -> tuple[str, ...]:
        faults, headers = self._opening("")
        request = self._format.models
        url = f"{self._endpoint.base_url}{request.path}"
        body = await get(url, headers=headers | request.headers, seconds=STATUS_SECONDS, faults=faults)
        try:
            return tuple(self._format.names(msgspec.json.decode(body)))
        except (msgspec.DecodeError, RecursionError):
            raise faults.no_stream("", body) from None

    def _call(self, request: Request, headers: dict[str, str], *, idle_timeout: float | None) -> Call:
        return Call(
            url=f"{self._endpoint.base_url}{request.path}",
            headers=headers | request.headers,
            body=request.body,
            media_type=self._format.media_type,
            idle_timeout=idle_timeout or self._endpoint.idle_timeout,
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
