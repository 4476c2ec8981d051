"""The provider's port: what the engine calls, and the events that a provider yields."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

import msgspec

from ..core.events import Citation, Completed, Delta, ToolCall, Usage
from ..core.job import Job, JobSpec
from ..core.state import ErrorInfo

MAX_MODELS = 2_000  # listed of one provider


class Resume(msgspec.Struct, frozen=True, gc=False):
    """A token to resume the response after this point, also on another server; not an event of the log.

    It covers everything yielded before it and in its batch. A batch has at most one, last but for Completed. Events
    after it, other than usage, make it invalid until the next one.
    """

    token: str


class ImageData(msgspec.Struct, frozen=True, gc=False):
    """An image of the answer as the provider sends it; not an event of the log.

    The engine decides whether to store it, and adds a line about it to the text at this place.
    """

    data: str = ""  # base64; empty if it cannot be read
    url: str = ""  # of the image, if the provider sends no data
    is_cut: bool = False  # it came in an event that is too large to be read


ProviderEvent = Delta | Usage | Citation | ToolCall | ImageData | Completed | Resume


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's models, or why they are missing."""

    name: str
    kind: str  # its wire format, such as chat_completions
    models: tuple[str, ...] = ()  # full names, provider/name
    error: ErrorInfo | None = None  # why the models are missing
    note: str | None = None  # a sentence: why none are listed, although jobs can run
    configured: bool = True  # False: it is not set up, which is not an error


class Provider(Protocol):
    """One provider.

    An optional attribute ``accepts_returned_images`` is true if its models accept images of earlier answers again.
    """

    name: str

    def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield the events of one attempt in order, the last one Completed. Closing it closes the socket.

        A job with ``resume`` continues after that token; no event is repeated.

        Raises:
            ProviderError: ``answer_gone`` if the provider no longer has the response; another code for other failures.

        """
        ...

    async def cancel_response(self, job: Job) -> None:
        """Cancel the response of the token ``job.resume``, in bounded time; never raise."""
        ...

    async def status(self) -> ProviderStatus:
        """Return the models, or why they are missing, in bounded time; never raise."""
        ...

    def config_error(self) -> ErrorInfo | None:
        """Return why jobs cannot run, as far as that is known without a request."""
        ...


class Default(msgspec.Struct, frozen=True, kw_only=True):
    """The model of jobs that name none."""

    model: str  # provider/name
    why: str  # a sentence


class Providers(Protocol):
    """All providers of a server."""

    @property
    def aliases(self) -> Mapping[str, str]:
        """Full names of models by alias."""
        ...

    def full_name(self, model: str) -> str:
        """Return an alias's model, another name as it is; raise InvalidRequestError for an invalid alias."""
        ...

    def resolve(self, model: str) -> Provider:
        """Return the provider of a model; raise ProviderError (``unknown_provider``)."""
        ...

    def check(self, spec: JobSpec) -> None:
        """Raise InvalidRequestError for a message part that the provider does not accept."""
        ...

    async def default(self) -> Default | None:
        """Return the default model, in bounded time; raise InvalidRequestError if the configured one is invalid."""
        ...

    async def price(self, model: str, usage: Usage) -> Usage:
        """Return the usage with an estimated cost, if known; raise ProviderError."""
        ...

    async def status(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return the status of all providers, in bounded time; ``refresh`` ignores the cache."""
        ...
