"""One configured service: a job goes out as an HTTP request, and what it says comes in as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from ..core.errors import ProviderError
from ..core.job import Job
from ..core.machine import Fault
from .base import ProviderStatus, Said
from .chat_completions import ChatDecoder, model_name, request_body
from .endpoint import Endpoint
from .faults import Faults
from .transport import Call, get, post

STATUS_SECONDS = 3.0
REST_SECONDS = 5.0  # for what may follow a finish_reason, such as usage, where no [DONE] does
KIND = "chat_completions"


class ChatService:
    """A Provider that speaks Chat Completions. The key is read from the environment at each call and kept nowhere."""

    def __init__(self, name: str, endpoint: Endpoint, *, environ: Mapping[str, str]) -> None:
        self.name = name
        self._endpoint = endpoint
        self._environ = environ

    def __repr__(self) -> str:
        return f"ChatService({self.name!r}, {self._endpoint!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[Said], None]:
        """Yield what the service says, in batches as they come; the last event is Completed.

        Raises ProviderError; what was said before it has been yielded. Closing the generator closes the socket.
        """
        faults, headers = self._opening(model_name(job))
        call = Call(
            url=f"{self._endpoint.base_url}/chat/completions",
            headers=headers,
            body=request_body(job, faults),
            idle_timeout=job.spec.idle_timeout or self._endpoint.idle_timeout,
            total_timeout=self._endpoint.total_timeout,
        )
        decoder = ChatDecoder(faults)
        broken = None
        async with aclosing(post(call, faults)) as body:
            try:
                async with aclosing(_until_the_end(body, decoder)) as batches:
                    async for batch in batches:
                        yield batch
            except ProviderError as error:
                broken = error
        if end := decoder.close(broken):
            yield end
        if decoder.error is not None:
            raise decoder.error

    async def status(self) -> ProviderStatus:
        """Return which models there are, or why that cannot be said. Within STATUS_SECONDS; never raises."""
        try:
            models = self._endpoint.models or await self._ask()
        except ProviderError as error:
            return ProviderStatus(name=self.name, kind=KIND, error=Fault(code=error.code, message=error.message))
        return ProviderStatus(name=self.name, kind=KIND, models=tuple(f"{self.name}/{model}" for model in models))

    def unready(self) -> Fault | None:
        """Return why this service cannot be asked: its key is not here."""
        try:
            self._opening("")
        except ProviderError as error:
            return Fault(code=error.code, message=error.message)
        return None

    async def _ask(self) -> tuple[str, ...]:
        faults, headers = self._opening("")
        body = await get(f"{self._endpoint.base_url}/models", headers=headers, seconds=STATUS_SECONDS, faults=faults)
        try:
            return _names(msgspec.json.decode(body))
        except (msgspec.DecodeError, RecursionError):
            raise faults.no_stream("", body) from None

    def _opening(self, model: str) -> tuple[Faults, dict[str, str]]:
        # What every request begins with: the headers, and errors that know what in them is secret.
        endpoint = self._endpoint
        key = self._environ.get(endpoint.api_key_env, "").strip() if endpoint.api_key_env else ""
        faults = Faults(self.name, model=model, key_env=endpoint.api_key_env, secrets=(key, *endpoint.headers.values()))
        if not endpoint.api_key_env:
            return faults, endpoint.headers
        if not key:
            raise faults.error("missing_key")
        if not (key.isascii() and key.isprintable()):
            raise faults.error("missing_key", "Its value has characters that no key has.")
        return faults, {"Authorization": f"Bearer {key}", **endpoint.headers}


async def _until_the_end(
    body: AsyncGenerator[bytes, None], decoder: ChatDecoder
) -> AsyncGenerator[Sequence[Said], None]:
    # After a finish_reason only so much time is spent on waiting for bytes that say nothing more, heartbeats included.
    clock = asyncio.get_running_loop().time
    left = REST_SECONDS
    while not decoder.ended:
        asked = clock()
        try:
            async with asyncio.timeout(None if decoder.finish_reason is None else left):
                chunk = await anext(body, None)
        except TimeoutError:
            return
        if chunk is None:
            return
        if decoder.finish_reason is not None:
            left -= clock() - asked
        if batch := decoder.feed(chunk):
            left = REST_SECONDS  # some services give a finish_reason with every delta
            yield batch


def _names(listing: Any) -> tuple[str, ...]:
    # {"data": [{"id": …}]} as OpenAI has it; some services leave the envelope out.
    match listing:
        case {"data": list() as items} | (list() as items):
            found = [item.get("id") for item in items if isinstance(item, dict)]
            return tuple(sorted(name for name in found if isinstance(name, str)))
    return ()
