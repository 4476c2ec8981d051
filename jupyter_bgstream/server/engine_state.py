"""State that the application shares with its routes: the engine, or why it is missing, the owner and the warnings."""

import asyncio
from contextlib import suppress

from ..engine.engine import Engine
from .identity import server_owner
from .save_leases import SaveLeases

HOLD_SECONDS = 12.0  # longest wait of a request for the start of the engine: the lease of a dead machine takes 10
STARTING = "jupyter_bgstream is still starting; try again in a moment."
STOPPING = "This server is shutting down; submit the job again in a moment."


class Backend:
    """The engine, or the reason why there is no engine."""

    def __init__(self, *, token: str) -> None:
        self.token = token  # of kernels
        self.owner = server_owner()
        self.engine: Engine | None = None
        self.save_leases = SaveLeases()
        self.problems: list[str] = []  # errors in the config, as sentences
        self.warnings: list[str] = []  # failures since the start, as sentences
        self.reason = STARTING  # why there is no engine
        self.retry_after: int | None = 1  # seconds until there may be one
        self.settled = asyncio.Event()  # the first start has succeeded or failed, or the server stops

    def open(self, engine: Engine) -> None:
        """Let requests through to the engine."""
        self.engine = engine
        self.settled.set()

    def refuse(self, reason: str, *, retry_after: int | None) -> None:
        """Refuse requests with a reason."""
        self.reason = reason
        self.retry_after = retry_after
        self.settled.set()

    def close(self) -> Engine | None:
        """Refuse requests because the server stops; return the engine, if there is one."""
        engine, self.engine = self.engine, None
        self.refuse(STOPPING, retry_after=None)
        return engine

    async def wait_settled(self) -> None:
        """Wait until the first start has succeeded or failed, for at most HOLD_SECONDS."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                await self.settled.wait()
