"""The provider's port: what an LLM service is to the engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

import msgspec

from ..core.events import Citation, Completed, Delta, ToolCall, Usage
from ..core.job import Job, JobSpec
from ..core.state import ErrorInfo

MOST_MODELS = 2_000  # of a provider that are listed


class Resume(msgspec.Struct, frozen=True, gc=False):
    """From here the provider can be asked to go on, whatever becomes of this server; no event of the log.

    Covers everything that was yielded before it and in its batch. At most one per batch, the last but for Completed;
    what is said without one behind it, but for usage, makes the one before it worthless.
    """

    token: str


class Picture(msgspec.Struct, frozen=True, gc=False):
    """A picture of the answer as the service sends it; no event of the log.

    Whoever stores the answer decides whether it is kept, and puts words about it into the text at this place.
    """

    data: str = ""  # base64; empty if there is none that can be read
    url: str = ""  # where it is, if that is all the service says
    is_cut: bool = False  # it came in an event too large to be read whole


ProviderEvent = Delta | Usage | Citation | ToolCall | Picture | Completed | Resume


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of a provider right now."""

    name: str
    kind: str  # the format it speaks, such as chat_completions
    models: tuple[str, ...] = ()  # full names, provider/name
    error: ErrorInfo | None = None  # why there are none
    note: str | None = None  # a sentence: why none are listed, although it can be asked
    configured: bool = True  # False: nobody has set it up, which is no fault


class Provider(Protocol):
    """One service. ``stream`` yields what it said, in order; the last is Completed, or it raises ProviderError.

    A job with ``resume`` goes on from there: nothing that was said before is said again. ``answer_gone`` is raised if
    the provider has forgotten it.

    One with a true ``takes_pictures_back``, which is optional, is shown the pictures of a thread's answers again.
    """

    name: str

    def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]: ...  # closing it closes the socket
    async def abandon(self, job: Job) -> None: ...  # nobody wants what `job.resume` stands for; bounded; never raises
    async def status(self) -> ProviderStatus: ...  # in bounded time; never raises
    def unready(self) -> ErrorInfo | None: ...  # why it could not be asked now, as far as can be told without asking


class Default(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a job that names none."""

    model: str  # provider/name
    why: str  # a sentence


class Providers(Protocol):
    """All services that are configured."""

    @property
    def aliases(self) -> Mapping[str, str]: ...  # to the full names of models
    def full_name(self, model: str) -> str: ...  # of an alias; what is none is returned as it is; Invalid: a wrong one
    def resolve(self, model: str) -> Provider: ...  # ProviderError: unknown_provider
    def check(self, spec: JobSpec) -> None: ...  # Invalid: a part that its provider cannot be sent
    async def default(self) -> Default | None: ...  # in bounded time; Invalid: the config names a wrong one
    async def price(self, model: str, usage: Usage) -> Usage: ...  # with an estimate, if any; ProviderError
    async def status(self, *, refresh: bool = False) -> list[ProviderStatus]: ...  # refresh: nothing remembered
