"""Common parts of an engine: store, providers, clock, delays, and the identity and limits of the server."""

from dataclasses import dataclass

from ..core.schemas.server_info import LimitsInfo
from ..providers.port import Providers
from ..store.ports.store import Store
from .clock import Clock
from .due_times import Delays


@dataclass(frozen=True, kw_only=True)
class EngineContext:
    """The values that the parts of one engine share."""

    store: Store
    providers: Providers
    clock: Clock
    delays: Delays
    server: str  # id of this server
    owner: str | None  # whose jobs the engine runs; None: those of every owner
    limits: LimitsInfo


class EnginePart:
    """Base class of the parts: holds the values of the context."""

    def __init__(self, context: EngineContext) -> None:
        self._store = context.store
        self._providers = context.providers
        self._clock = context.clock
        self._delays = context.delays
        self._server = context.server
        self._owner = context.owner
        self._limits = context.limits
