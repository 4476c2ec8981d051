"""REST handlers: batches."""

import msgspec

from ..core.codec import decode_request
from ..core.schemas.batches import AnswerPage
from ..core.schemas.convert import batch_info, batch_item_info
from .base import MAX_PAGE, ApiHandler, SubmitHandler, endpoint
from .request_bodies import BatchSubmission


class BaseBatchHandler(ApiHandler):
    """A route that returns a batch."""

    async def answer_batch(self, batch_id: str) -> None:
        """Finish with the batch and its progress."""
        self.answer(batch_info(await self.engine.batches.progress(self.owner, batch_id)))


class BatchesHandler(SubmitHandler, BaseBatchHandler):
    """``batches``."""

    @endpoint
    async def post(self) -> None:
        """Announce a batch, and submit some of its jobs."""
        submission = decode_request(self.request.body, BatchSubmission)
        submission = msgspec.structs.replace(submission, source=await self.with_notebook(submission.source))
        jobs = submission.job_specs(await self.default_model_for(*submission.jobs))
        await self.engine.batches.submit(self.owner, submission.batch_spec(), jobs, submitted_by=self.submitted_by)
        await self.answer_batch(submission.id)


class BatchHandler(BaseBatchHandler):
    """``batches/{id}``."""

    @endpoint
    async def get(self, batch_id: str) -> None:
        """Return a batch with its progress."""
        await self.answer_batch(batch_id)


class BatchAnswersHandler(ApiHandler):
    """``batches/{id}/answers``."""

    @endpoint
    async def get(self, batch_id: str) -> None:
        """Return the answers of a batch, or those that have changed since a cursor."""
        self.check_query("cursor", "limit")
        after = self.get_query_argument("cursor", strip=False)
        limit = self.query_integer("limit", MAX_PAGE, minimum=1, maximum=MAX_PAGE) or MAX_PAGE
        items, cursor, more = await self.engine.batches.answers(self.owner, batch_id, after=after, limit=limit)
        self.answer(AnswerPage(answers=list(map(batch_item_info, items)), next=cursor, more=more))


class RetryBatchHandler(BaseBatchHandler):
    """``batches/{id}/retry``."""

    @endpoint
    async def post(self, batch_id: str) -> None:
        """Retry the jobs of a batch that have failed or were cancelled or interrupted."""
        await self.engine.batches.retry(self.owner, batch_id, submitted_by=self.submitted_by)
        await self.answer_batch(batch_id)


class ResumeBatchHandler(BaseBatchHandler):
    """``batches/{id}/resume``."""

    @endpoint
    async def post(self, batch_id: str) -> None:
        """Resume a paused batch with the jobs that have not ended."""
        await self.engine.batches.resume(self.owner, batch_id)
        await self.answer_batch(batch_id)


class CancelBatchHandler(BaseBatchHandler):
    """``batches/{id}/cancel``."""

    @endpoint
    async def post(self, batch_id: str) -> None:
        """Cancel the jobs of a batch that have not ended."""
        await self.engine.batches.cancel(self.owner, batch_id)
        await self.answer_batch(batch_id)


ROUTES = [
    (r"batches", BatchesHandler),
    (r"batches/([A-Za-z0-9_-]+)", BatchHandler),
    (r"batches/([A-Za-z0-9_-]+)/answers", BatchAnswersHandler),
    (r"batches/([A-Za-z0-9_-]+)/cancel", CancelBatchHandler),
    (r"batches/([A-Za-z0-9_-]+)/resume", ResumeBatchHandler),
    (r"batches/([A-Za-z0-9_-]+)/retry", RetryBatchHandler),
]
