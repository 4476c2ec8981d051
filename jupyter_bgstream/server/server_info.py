"""REST handlers: models, status of the server and notebooks of kernels."""

import msgspec

from .._version import __version__
from ..core.codec import PROTOCOL_VERSION
from ..core.errors import InvalidRequestError
from ..core.job import JobSource
from ..core.schemas.server_info import KernelInfo, ModelsInfo, ProviderInfo, ServerStatus
from ..providers.port import Default
from .base import ApiHandler, SubmitHandler, endpoint


class DefaultModelHandler(ApiHandler):
    """A route that reports the default model."""

    async def default(self) -> Default | None:
        """Return the default model, or None. A wrong one in the config is among the problems."""
        try:
            return await self.engine.default()
        except InvalidRequestError:
            return None


class ModelsHandler(DefaultModelHandler):
    """``models``."""

    @endpoint
    async def get(self) -> None:
        """Return the models of each provider, or why it has none."""
        self.check_query("refresh")
        providers = await self.engine.models(refresh=self.query_flag("refresh"))
        default = await self.default()
        self.answer(
            ModelsInfo(
                default=default.model if default else None,
                default_why=default.why if default else None,
                aliases=dict(self.engine.aliases),
                problems=self.backend.problems,
                providers=[ProviderInfo(**msgspec.structs.asdict(provider)) for provider in providers],
            )
        )


class StatusHandler(DefaultModelHandler):
    """``status``."""

    @endpoint
    async def get(self) -> None:
        """Return the version, the store, the counts of jobs, the limits and the warnings."""
        engine = self.engine
        default = await self.default()
        self.answer(
            ServerStatus(
                version=__version__,
                protocol=PROTOCOL_VERSION,
                server=engine.server,
                store=engine.store_kind,
                counts=await engine.jobs.counts(self.owner),
                limits=engine.limits,
                default_model=default.model if default else None,
                warnings=[*self.backend.problems, *self.backend.warnings, *engine.warnings],
            )
        )


class KernelHandler(SubmitHandler):
    """``kernels/{id}``."""

    @endpoint
    async def get(self, kernel_id: str) -> None:
        """Return the current notebook of a kernel, as the source of its jobs names it."""
        source = await self.with_notebook(JobSource(kernel=kernel_id))
        self.answer(KernelInfo(notebook=source.notebook))


ROUTES = [
    (r"models", ModelsHandler),
    (r"status", StatusHandler),
    (r"kernels/([A-Za-z0-9_-]+)", KernelHandler),
]
