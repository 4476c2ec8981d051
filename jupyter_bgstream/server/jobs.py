"""REST handlers: jobs."""

from typing import Any

import msgspec

from ..core.codec import decode_request
from ..core.errors import InvalidRequestError
from ..core.schemas.convert import job_detail, job_info
from ..core.schemas.enums import STATUSES
from ..core.schemas.jobs import JobPage
from ..store.port_values import JobFilter
from .base import MAX_PAGE, PAGE, ApiHandler, SubmitHandler, endpoint
from .request_bodies import JobSubmission

MAX_IDS = 500  # jobs in one list request
FILTERS = ("status", "thread", "notebook", "batch", "submitted_by", "tag")


class JobsHandler(SubmitHandler):
    """``jobs``."""

    @endpoint
    async def post(self) -> None:
        """Submit a job."""
        submission = decode_request(self.request.body, JobSubmission)
        spec = submission.spec(await self.default_model_for(submission))
        spec = msgspec.structs.replace(spec, source=await self.with_notebook(spec.source))
        job, new = await self.engine.jobs.submit(self.owner, spec, submission.id, submitted_by=self.submitted_by)
        self.answer(job_info(job), 201 if new else 200)

    @endpoint
    async def get(self) -> None:
        """List jobs, newest first."""
        jobs, cursor = await self.engine.jobs.page(self.owner, self._filter())
        self.answer(JobPage(jobs=[job_info(job) for job in jobs], next=cursor, viewer=self.submitted_by))

    def _filter(self) -> JobFilter:
        self.check_query(*FILTERS, "ids", "limit", "cursor")
        filters: dict[str, Any] = {name: self.get_query_argument(name, strip=False) for name in FILTERS}
        if filters["status"] not in (None, *STATUSES):
            raise InvalidRequestError(
                f"status must be one of {', '.join(STATUSES)}, not {filters['status'][:60]!r}.", field="status"
            )
        ids = self.get_query_argument("ids", strip=False)
        if ids is not None:
            ids = ids.split(",")
            if len(ids) > MAX_IDS:
                raise InvalidRequestError(f"A request may list at most {MAX_IDS} ids, not {len(ids)}.", field="ids")
            filters["ids"] = tuple(filter(None, ids))
        limit, cursor = self.query_page(MAX_PAGE if filters.get("ids") else PAGE)
        return JobFilter(limit=limit, after=cursor, **filters)


class JobHandler(ApiHandler):
    """``jobs/{id}``."""

    @endpoint
    async def get(self, job_id: str) -> None:
        """Return a job with its request and its answer so far."""
        self.answer(job_detail(*await self.engine.jobs.answer(self.owner, job_id)))

    @endpoint
    async def delete(self, job_id: str) -> None:
        """Delete a job; cancel it first if it has not ended."""
        await self.engine.jobs.delete(self.owner, job_id)
        self.no_content()


class CancelJobHandler(ApiHandler):
    """``jobs/{id}/cancel``."""

    @endpoint
    async def post(self, job_id: str) -> None:
        """Cancel a job; its partial text is kept."""
        self.answer(job_info(await self.engine.jobs.cancel(self.owner, job_id)))


class RetryJobHandler(ApiHandler):
    """``jobs/{id}/retry``."""

    @endpoint
    async def post(self, job_id: str) -> None:
        """Retry an ended job; every call returns the same new job."""
        job, new = await self.engine.jobs.retry(self.owner, job_id, submitted_by=self.submitted_by)
        self.answer(job_info(job), 201 if new else 200)


ROUTES = [
    (r"jobs", JobsHandler),
    (r"jobs/([A-Za-z0-9_-]+)", JobHandler),
    (r"jobs/([A-Za-z0-9_-]+)/cancel", CancelJobHandler),
    (r"jobs/([A-Za-z0-9_-]+)/retry", RetryJobHandler),
]
