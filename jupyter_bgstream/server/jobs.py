"""REST: jobs, groups, the inbox, models and status. See PROTOCOL.md."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from .._version import __version__
from ..core.codec import PROTOCOL_VERSION, decode_request
from ..core.costs import By
from ..core.errors import InvalidRequestError
from ..core.job import JobSource
from ..core.schemas import (
    STATUSES,
    CostList,
    JobPage,
    KernelInfo,
    LimitsInfo,
    ModelsInfo,
    ProviderInfo,
    ServerStatus,
)
from ..core.schemas.convert import job_detail, job_info
from ..store.base import JobFilter
from .base import ApiHandler, endpoint
from .listing import MAX_PAGE, page_of
from .requests import JobSubmission, no_default_model
from .submitting import SubmittingHandler

MAX_IDS = 500  # jobs that one list request may name
MAX_TIME = 10**11  # Unix seconds, some thousand years from now
MAX_TOKENS = 10**9  # of a request whose price is asked for
COST_KEYS: tuple[By, ...] = get_args(By)


class JobsHandler(SubmittingHandler):
    """``jobs``."""

    @endpoint
    async def post(self) -> None:
        """Submit a job."""
        submission = decode_request(self.request.body, JobSubmission)
        spec = submission.spec(await self.default_for(submission))
        spec = msgspec.structs.replace(spec, source=await self.located(spec.source))
        job, new = await self.service.submit(self.owner, spec, submission.id, submitted_by=self.submitted_by)
        self.answer(job_info(job), 201 if new else 200)

    @endpoint
    async def get(self) -> None:
        """List jobs."""
        jobs, following = await self.service.jobs(self.owner, self._filter())
        self.answer(JobPage(jobs=[job_info(job) for job in jobs], next=following, viewer=self.submitted_by))

    def _filter(self) -> JobFilter:
        given = {name: self.get_query_argument(name, strip=False) for name in self.request.query_arguments}
        fields: dict[str, Any] = {}
        for name in ("status", "thread", "notebook", "group", "submitted_by", "tag"):
            fields[name] = given.pop(name, None)
        if fields["status"] not in (None, *STATUSES):
            raise InvalidRequestError(
                f"status must be one of {', '.join(STATUSES)}, not {fields['status']!r}.", field="status"
            )
        if "ids" in given:
            ids = given.pop("ids").split(",")
            if len(ids) > MAX_IDS:
                raise InvalidRequestError(
                    f"At most {MAX_IDS} ids fit one request; this one has {len(ids)}.", field="ids"
                )
            fields["ids"] = tuple(filter(None, ids))
        limit, after = page_of(given, limit=MAX_PAGE if fields.get("ids") else 50)
        return JobFilter(limit=limit, after=after, **fields)


class JobHandler(ApiHandler):
    """``jobs/{id}``."""

    @endpoint
    async def get(self, job_id: str) -> None:
        """Return a job with its text."""
        self.answer(job_detail(*await self.service.answer(self.owner, job_id)))

    @endpoint
    async def delete(self, job_id: str) -> None:
        """Cancel a job if need be, and forget it."""
        await self.service.delete(self.owner, job_id)
        self.set_status(204)
        self.finish()


class CancelJobHandler(ApiHandler):
    """``jobs/{id}/cancel``."""

    @endpoint
    async def post(self, job_id: str) -> None:
        """End a job; its partial text is kept."""
        self.answer(job_info(await self.service.cancel(self.owner, job_id)))


class RetryJobHandler(ApiHandler):
    """``jobs/{id}/retry``."""

    @endpoint
    async def post(self, job_id: str) -> None:
        """Ask an ended job again; its one successor is answered."""
        job, new = await self.service.retry(self.owner, job_id, submitted_by=self.submitted_by)
        self.answer(job_info(job), 201 if new else 200)


class KernelHandler(SubmittingHandler):
    """``kernels/{id}``."""

    @endpoint
    async def get(self, kernel_id: str) -> None:
        """Return where a kernel's notebook is now, as its jobs would say."""
        self.answer(KernelInfo(notebook=(await self.located(JobSource(kernel=kernel_id))).notebook))


class CostsHandler(ApiHandler):
    """``costs``."""

    @endpoint
    async def get(self) -> None:
        """Add up what jobs cost."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"by", "since", "until", "token"}), None):
            raise InvalidRequestError(f"There is no filter named {unknown!r}.", field=unknown)
        asked = self.get_query_argument("by", "day")
        by = next((key for key in COST_KEYS if key == asked), None)
        if by is None:
            raise InvalidRequestError(f"by must be one of {', '.join(COST_KEYS)}, not {asked!r}.", field="by")
        rows = await self.service.costs(self.owner, by, since=self._time("since"), until=self._time("until"))
        self.answer(CostList(by=by, costs=rows, today=self.service.today))

    def _time(self, name: str) -> int | None:
        text = self.get_query_argument(name, None, strip=False)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 13) or int(text) > MAX_TIME:
            raise InvalidRequestError(f"{name} must be a time in whole Unix seconds, not {text[:60]!r}.", field=name)
        return int(text)


class PricesHandler(ApiHandler):
    """``prices``."""

    @endpoint
    async def get(self) -> None:
        """Say what a request would cost by list prices, and which model a name or none stands for."""
        known = {"model", "input_tokens", "output_tokens", "token"}
        if unknown := next(iter(self.request.query_arguments.keys() - known), None):
            raise InvalidRequestError(f"There is nothing named {unknown!r} to ask for.", field=unknown)
        model = self.get_query_argument("model", "", strip=False)
        if not model and (default := await self.service.default()) is not None:
            model = default.model
        if not model:
            raise no_default_model()
        counts = {name: self._count(name) for name in ("input_tokens", "output_tokens")}
        self.answer(await self.service.price(model, **counts))

    def _count(self, name: str) -> int:
        text = self.get_query_argument(name, "0", strip=False)
        if not (text.isascii() and text.isdecimal() and len(text) < 11) or int(text) > MAX_TOKENS:
            raise InvalidRequestError(f"{name} must be a number of tokens, not {text[:60]!r}.", field=name)
        return int(text)


class ModelsHandler(ApiHandler):
    """``models``."""

    @endpoint
    async def get(self) -> None:
        """Return what can be asked right now, and why the rest cannot."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"refresh", "token"}), None):
            raise InvalidRequestError(
                f"There is nothing named {unknown!r} to ask for: say ?refresh=true.", field=unknown
            )
        refresh = self.get_query_argument("refresh", "false")
        if refresh not in ("true", "false"):
            raise InvalidRequestError(f"refresh must be true or false, not {refresh!r}.", field="refresh")
        providers = await self.service.models(refresh=refresh == "true")
        try:
            default = await self.service.default()
        except InvalidRequestError:  # among the problems
            default = None
        self.answer(
            ModelsInfo(
                default=default.model if default else None,
                default_why=default.why if default else None,
                aliases=dict(self.service.aliases),
                problems=self.backend.problems,
                providers=[ProviderInfo(**msgspec.structs.asdict(provider)) for provider in providers],
            )
        )


class StatusHandler(ApiHandler):
    """``status``."""

    @endpoint
    async def get(self) -> None:
        """Return the version, the store, the counts and the limits."""
        service = self.service
        try:
            default = await service.default()
        except InvalidRequestError:  # among the warnings
            default = None
        self.answer(
            ServerStatus(
                version=__version__,
                protocol=PROTOCOL_VERSION,
                server=service.server,
                store=service.store_kind,
                counts=await service.counts(self.owner),
                limits=LimitsInfo(**msgspec.structs.asdict(service.limits)),
                default_model=default.model if default else None,
                warnings=[*self.backend.problems, *self.backend.warnings, *service.warnings],
            )
        )


ROUTES = [
    (r"jobs", JobsHandler),
    (r"jobs/([A-Za-z0-9_-]+)", JobHandler),
    (r"jobs/([A-Za-z0-9_-]+)/cancel", CancelJobHandler),
    (r"jobs/([A-Za-z0-9_-]+)/retry", RetryJobHandler),
    (r"kernels/([A-Za-z0-9_-]+)", KernelHandler),
    (r"costs", CostsHandler),
    (r"prices", PricesHandler),
    (r"models", ModelsHandler),
    (r"status", StatusHandler),
]
