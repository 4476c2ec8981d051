"""Many jobs as one, over REST: announced, watched, read, asked again, cancelled."""

from __future__ import annotations

import msgspec

from ..core.codec import decode_request
from ..core.errors import InvalidRequestError
from ..core.schemas import AnswerPage
from ..core.schemas.convert import batch_info, batch_item_info
from .base import ApiHandler, endpoint
from .listing import MAX_PAGE, page_limit
from .requests import BatchSubmission
from .submitting import SubmittingHandler


class BatchesHandler(SubmittingHandler):
    """``groups``."""

    @endpoint
    async def post(self) -> None:
        """Announce a group, and submit some of its jobs."""
        submission = decode_request(self.request.body, BatchSubmission)
        submission = msgspec.structs.replace(submission, source=await self.located(submission.source))
        jobs = submission.members(await self.default_for(*submission.jobs))
        await self.service.submit_group(self.owner, submission.group(), jobs, submitted_by=self.submitted_by)
        self.answer(batch_info(await self.service.progress(self.owner, submission.id)))


class BatchHandler(ApiHandler):
    """``groups/{id}``."""

    @endpoint
    async def get(self, group_id: str) -> None:
        """Return how far a group is."""
        self.answer(batch_info(await self.service.progress(self.owner, group_id)))


class BatchAnswersHandler(ApiHandler):
    """``groups/{id}/answers``."""

    @endpoint
    async def get(self, group_id: str) -> None:
        """Return what a group has answered, or what has changed of that."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"after", "limit", "token"}), None):
            raise InvalidRequestError(
                f"There is nothing named {unknown!r} to ask for: say ?after=… or ?limit=….", field=unknown
            )
        after = self.get_query_argument("after", None, strip=False)
        limit = page_limit(self.get_query_argument("limit", str(MAX_PAGE), strip=False))
        places, following, more = await self.service.answers(self.owner, group_id, after=after, limit=limit)
        self.answer(AnswerPage(answers=list(map(batch_item_info, places)), next=following, more=more))


class RetryBatchHandler(ApiHandler):
    """``groups/{id}/retry``."""

    @endpoint
    async def post(self, group_id: str) -> None:
        """Ask again what has ended of a group without a whole answer."""
        await self.service.retry_group(self.owner, group_id, submitted_by=self.submitted_by)
        self.answer(batch_info(await self.service.progress(self.owner, group_id)))


class ResumeBatchHandler(ApiHandler):
    """``groups/{id}/resume``."""

    @endpoint
    async def post(self, group_id: str) -> None:
        """Let a paused group go on with what is left."""
        await self.service.resume_group(self.owner, group_id)
        self.answer(batch_info(await self.service.progress(self.owner, group_id)))


class CancelBatchHandler(ApiHandler):
    """``groups/{id}/cancel``."""

    @endpoint
    async def post(self, group_id: str) -> None:
        """Cancel what has not ended of a group."""
        await self.service.cancel_group(self.owner, group_id)
        self.answer(batch_info(await self.service.progress(self.owner, group_id)))


ROUTES = [
    (r"groups", BatchesHandler),
    (r"groups/([A-Za-z0-9_-]+)", BatchHandler),
    (r"groups/([A-Za-z0-9_-]+)/answers", BatchAnswersHandler),
    (r"groups/([A-Za-z0-9_-]+)/cancel", CancelBatchHandler),
    (r"groups/([A-Za-z0-9_-]+)/resume", ResumeBatchHandler),
    (r"groups/([A-Za-z0-9_-]+)/retry", RetryBatchHandler),
]
