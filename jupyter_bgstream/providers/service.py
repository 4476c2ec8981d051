"""One configured service: a job goes out as an HTTP request, and what it says comes in as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..core.errors import ProviderError
from ..core.events import Usage
from ..core.job import Job
from ..core.machine import Fault
from .aside import aside
from .base import ProviderStatus, Said
from .endpoint import Endpoint, can_be_sent
from .faults import Faults
from .formats import Decoder, Request, format_of
from .formats.base import model_name
from .keys import Key
from .prices import priced
from .transport import Call, Route, get, stream

STATUS_SECONDS = 3.0
HEADER_SECONDS = 10.0  # that a function which makes a header may take
REST_SECONDS = 5.0  # for what may follow a finish_reason, such as usage, where no [DONE] does


class HTTPService:
    """A Provider of one format at one endpoint. The key is looked up at each call and kept nowhere."""

    def __init__(
        self, name: str, endpoint: Endpoint, *, environ: Mapping[str, str], keyring: bool = False, meant: bool = True
    ) -> None:
        self.name = name
        self._meant = meant  # False: it is only there to be tried
        self._endpoint = endpoint
        self._format = format_of(endpoint.format, endpoint.dialect)
        self._key = Key(name, endpoint, environ=environ, keyring=keyring)
        self._route = Route(
            proxy=endpoint.proxy, ca_bundle=endpoint.ca_bundle, connect_timeout=endpoint.connect_timeout
        )

    def __repr__(self) -> str:
        return f"HTTPService({self.name!r}, {self._endpoint!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[Said], None]:
        """Yield what the service says, in batches as they come; the last event is Completed.

        Raises ProviderError; what was said before it has been yielded. Closing the generator closes the socket.
        """
        faults, headers = await self._opening(model_name(job))
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
        """Return which models there are, or why that cannot be said; never raises.

        The service has STATUS_SECONDS to answer, and where its key comes from what ``keys`` and ``aside`` allow.
        """
        if self._key.lacking() == "" and self._key.variables and not self._meant:
            words = f"Not configured: set {self._key.variables}."
            fault = Fault(code="missing_key", message=words)
            return ProviderStatus(name=self.name, kind=self._format.name, error=fault, configured=False)
        try:
            models = self._endpoint.models or await self._ask()
        except ProviderError as error:
            fault, configured = Fault(code=error.code, message=error.message), True
            if not self._meant and not self.wants_key:
                words = f"Not running: nothing of the kind answers at {self._endpoint.base_url}."
                fault, configured = Fault(code="unreachable", message=words), False
            return ProviderStatus(name=self.name, kind=self._format.name, error=fault, configured=configured)
        return ProviderStatus(
            name=self.name, kind=self._format.name, models=tuple(f"{self.name}/{model}" for model in models)
        )

    def unready(self) -> Fault | None:
        """Return why this service cannot be asked: its key is not here."""
        if (problem := self._key.lacking()) is None:
            return None
        error = self._faults("").error("missing_key", problem)
        return Fault(code=error.code, message=error.message)

    @property
    def wants_key(self) -> bool:
        """Whether it can only be asked with a key."""
        return self._key.wanted

    async def has_key(self) -> bool:
        """Return whether there is a key, asking for it where that must be; never raises."""
        if self._key.lacking() is not None:
            return False
        try:
            return bool(await self._key.look_up(self._faults("")))
        except ProviderError:
            return False

    async def _priced(self, said: Sequence[Said], job: Job) -> Sequence[Said]:
        if not any(isinstance(event, Usage) for event in said):
            return said
        how = {"provider": self.name, "model": model_name(job), "base_url": self._endpoint.base_url}
        return [await asyncio.to_thread(priced, each, **how) if isinstance(each, Usage) else each for each in said]

    async def _ask(self) -> tuple[str, ...]:
        faults, headers = await self._opening("")
        request = self._format.models
        url = f"{self._endpoint.base_url}{request.path}"
        body = await get(
            url, headers=headers | request.headers, seconds=STATUS_SECONDS, faults=faults, route=self._route
        )
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
            route=self._route,
        )

    async def _opening(self, model: str) -> tuple[Faults, dict[str, str]]:
        # What every request begins with: the headers, and errors that know what in them is secret.
        faults = self._faults(model)
        key = await self._key.look_up(faults)
        faults = self._faults(model, key)
        headers = {name: await self._header(name, value, faults) for name, value in self._endpoint.headers.items()}
        if not key:
            return self._faults(model, *headers.values()), headers
        named = self._endpoint.key_header
        return self._faults(model, key, *headers.values()), (
            {named: key} if named else self._format.headers(key)
        ) | headers

    async def _header(self, name: str, value: Any, faults: Faults) -> str:
        if callable(value):
            try:
                value = await aside(value, seconds=HEADER_SECONDS, name=f"header-{self.name}")
            except TimeoutError:
                words = f"The function of the header {name} did not return within {HEADER_SECONDS:g} s."
                raise faults.error("missing_key", words) from None
            except Exception as error:  # its words may hold what nobody shall see
                words = f"The function of the header {name} raised {type(error).__name__}."
                raise faults.error("missing_key", words) from None
        if not can_be_sent(value):
            raise faults.error("missing_key", f"The function of the header {name} returned what cannot be sent.")
        return str(value)

    def _faults(self, model: str, *secrets: str) -> Faults:
        proxy = urlsplit(self._endpoint.proxy).password if self._endpoint.proxy else None
        return Faults(
            self.name,
            model=model,
            key_ways=self._key.ways,
            key_source=self._key.source,
            secrets=(*secrets, *([proxy] if proxy else [])),
            format=self._format.title,
        )


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
