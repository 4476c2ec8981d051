"""One configured service: a job goes out as an HTTP request, and what it says comes in as events."""

from __future__ import annotations

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
            idle_timeout=self._endpoint.idle_timeout,
            total_timeout=self._endpoint.total_timeout,
        )
        decoder = ChatDecoder(faults)
        async with aclosing(post(call, faults)) as body:
            try:
                async for chunk in body:
                    if batch := decoder.feed(chunk):
                        yield batch
                    if decoder.ended:
                        break
            except ProviderError:
                # A connection that breaks, or hangs, after the finish_reason takes nothing from the answer.
                if decoder.finish_reason is None:
                    raise
        yield decoder.close()

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
        except msgspec.DecodeError:
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


def _names(listing: Any) -> tuple[str, ...]:
    # {"data": [{"id": …}]} as OpenAI has it; some services leave the envelope out.
    match listing:
        case {"data": list() as items} | (list() as items):
            found = [item.get("id") for item in items if isinstance(item, dict)]
            return tuple(sorted(name for name in found if isinstance(name, str)))
    return ()
