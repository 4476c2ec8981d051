"""What every route needs that takes jobs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from jupyter_core.utils import ensure_async

from ..core.errors import NotFoundError
from ..core.job import JobSource
from .base import ApiHandler
from .requests import JobSubmission


class SubmittingHandler(ApiHandler):
    """What both routes that take jobs need."""

    async def default_for(self, *submissions: JobSubmission) -> str | None:
        """Return the default model if one of these needs it: to choose it may mean to ask a local server."""
        unnamed = [submission for submission in submissions if not submission.model]
        if not unnamed:
            return None
        if (job_id := unnamed[0].id) is not None:
            # Sent again they are the same jobs, whatever the default is by now; those of a group were stored together.
            with suppress(NotFoundError):
                return (await self.service.job(self.owner, job_id)).spec.model
        default = await self.service.default()
        return None if default is None else default.model

    async def located(self, source: JobSource) -> JobSource:
        """Return an origin with its kernel's notebook, where that can be told."""
        if not source.kernel or source.notebook:
            return source
        # Jupyter knows where a kernel's notebook is now; a kernel only knows where it was when it started.
        # What is wrong with its sessions is no reason to refuse a job.
        sessions: list[dict[str, Any]]
        try:
            sessions = await ensure_async(self.session_manager.list_sessions())  # type: ignore[no-untyped-call]
        except Exception:
            self.log.warning("the notebook of kernel %r cannot be told", source.kernel, exc_info=True)
            return source
        notebook = next((session["path"] for session in sessions if session["kernel"]["id"] == source.kernel), None)
        return msgspec.structs.replace(source, notebook=notebook)
