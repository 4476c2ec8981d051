"""REST: jobs, groups, the inbox, models and status. See PROTOCOL.md."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal, get_args

import msgspec
from jupyter_core.utils import ensure_async

from .. import __version__
from ..core.costs import By
from ..core.errors import Invalid, NotFound
from ..core.job import Origin
from ..core.notices import Mute
from ..core.wire import (
    PROTOCOL_VERSION,
    decode_request,
    group_form,
    job_form,
    job_with_answer,
    notice_form,
    placed_form,
)
from ..store.base import JobFilter
from .forms import GroupSubmission, Reading, Submission, no_default_model
from .handlers import ApiHandler, endpoint
from .listing import MAX_PAGE, page_limit, page_of

STATES = ("queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted")
MAX_IDS = 500  # jobs that one list request may name
MAX_TIME = 10**11  # Unix seconds, some thousand years from now
MAX_TOKENS = 10**9  # of a request whose price is asked for
MAX_NAME = 1000  # characters of what is muted
COST_KEYS: tuple[By, ...] = get_args(By)
MUTED_KINDS: tuple[Literal["notebook"], Literal["thread"]] = ("notebook", "thread")


class Submitting(ApiHandler):
    """What both routes that take jobs need."""

    async def default_for(self, *submissions: Submission) -> str | None:
        """Return the default model if one of these needs it: to choose it may mean to ask a local server."""
        unnamed = [submission for submission in submissions if not submission.model]
        if not unnamed:
            return None
        if (job_id := unnamed[0].id) is not None:
            # Sent again they are the same jobs, whatever the default is by now; those of a group were stored together.
            with suppress(NotFound):
                return (await self.service.job(self.owner, job_id)).spec.model
        default = await self.service.default()
        return None if default is None else default.model

    async def located(self, source: Origin) -> Origin:
        """Return an origin with its kernel's notebook, where that can be told."""
        if not source.kernel or source.notebook:
            return source
        # Jupyter knows where a kernel's notebook is now; a kernel only knows where it was when it started.
        # What is wrong with its sessions is no reason to refuse a job.
        sessions: list[dict[str, Any]]
        try:
            sessions = await ensure_async(self.session_manager.list_sessions())  # type: ignore[no-untyped-call]
        except Exception:
            self.log.warning("the notebook of kernel %s cannot be told", source.kernel, exc_info=True)
            return source
        notebook = next((session["path"] for session in sessions if session["kernel"]["id"] == source.kernel), None)
        return msgspec.structs.replace(source, notebook=notebook)


class Jobs(Submitting):
    """``jobs``."""

    @endpoint
    async def post(self) -> None:
        """Submit a job."""
        submission = decode_request(self.request.body, Submission)
        spec = submission.spec(await self.default_for(submission))
        spec = msgspec.structs.replace(spec, source=await self.located(spec.source))
        job, new = await self.service.submit(self.owner, spec, submission.id)
        self.answer(job_form(job), 201 if new else 200)

    @endpoint
    async def get(self) -> None:
        """List jobs."""
        jobs, following = await self.service.jobs(self.owner, self._filter())
        self.answer({"jobs": [job_form(job) for job in jobs], "next": following})

    def _filter(self) -> JobFilter:
        given = {name: self.get_query_argument(name, strip=False) for name in self.request.query_arguments}
        fields: dict[str, Any] = {}
        for name in ("status", "thread", "notebook", "group", "tag"):
            fields[name] = given.pop(name, None)
        if fields["status"] not in (None, *STATES):
            raise Invalid(f"status must be one of {', '.join(STATES)}, not {fields['status']!r}.", field="status")
        if "ids" in given:
            ids = given.pop("ids").split(",")
            if len(ids) > MAX_IDS:
                raise Invalid(f"At most {MAX_IDS} ids fit one request; this one has {len(ids)}.", field="ids")
            fields["ids"] = tuple(filter(None, ids))
        limit, after = page_of(given, limit=MAX_PAGE if fields.get("ids") else 50)
        return JobFilter(limit=limit, after=after, **fields)


class OneJob(ApiHandler):
    """``jobs/{id}``."""

    @endpoint
    async def get(self, job_id: str) -> None:
        """Return a job with its text."""
        self.answer(job_with_answer(*await self.service.answer(self.owner, job_id)))

    @endpoint
    async def delete(self, job_id: str) -> None:
        """Cancel a job if need be, and forget it."""
        await self.service.delete(self.owner, job_id)
        self.set_status(204)
        self.finish()


class Cancel(ApiHandler):
    """``jobs/{id}/cancel``."""

    @endpoint
    async def post(self, job_id: str) -> None:
        """End a job; its partial text is kept."""
        self.answer(job_form(await self.service.cancel(self.owner, job_id)))


class Retry(ApiHandler):
    """``jobs/{id}/retry``."""

    @endpoint
    async def post(self, job_id: str) -> None:
        """Ask an ended job again; its one successor is answered."""
        job, new = await self.service.retry(self.owner, job_id)
        self.answer(job_form(job), 201 if new else 200)


class Groups(Submitting):
    """``groups``."""

    @endpoint
    async def post(self) -> None:
        """Announce a group, and submit some of its jobs."""
        submission = decode_request(self.request.body, GroupSubmission)
        submission = msgspec.structs.replace(submission, source=await self.located(submission.source))
        jobs = submission.members(await self.default_for(*submission.jobs))
        await self.service.submit_group(self.owner, submission.group(), jobs)
        self.answer(group_form(await self.service.progress(self.owner, submission.id)))


class OneGroup(ApiHandler):
    """``groups/{id}``."""

    @endpoint
    async def get(self, group_id: str) -> None:
        """Return how far a group is."""
        self.answer(group_form(await self.service.progress(self.owner, group_id)))


class GroupAnswers(ApiHandler):
    """``groups/{id}/answers``."""

    @endpoint
    async def get(self, group_id: str) -> None:
        """Return what a group has answered, or what has changed of that."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"after", "limit", "token"}), None):
            raise Invalid(f"There is nothing named {unknown!r} to ask for: say ?after=… or ?limit=….", field=unknown)
        after = self.get_query_argument("after", None, strip=False)
        limit = page_limit(self.get_query_argument("limit", str(MAX_PAGE), strip=False))
        places, following, more = await self.service.answers(self.owner, group_id, after=after, limit=limit)
        self.answer({"answers": list(map(placed_form, places)), "next": following, "more": more})


class RetryGroup(ApiHandler):
    """``groups/{id}/retry``."""

    @endpoint
    async def post(self, group_id: str) -> None:
        """Ask again what has ended of a group without a whole answer."""
        await self.service.retry_group(self.owner, group_id)
        self.answer(group_form(await self.service.progress(self.owner, group_id)))


class CancelGroup(ApiHandler):
    """``groups/{id}/cancel``."""

    @endpoint
    async def post(self, group_id: str) -> None:
        """Cancel what has not ended of a group."""
        await self.service.cancel_group(self.owner, group_id)
        self.answer(group_form(await self.service.progress(self.owner, group_id)))


class Mutes(ApiHandler):
    """``mutes``."""

    @endpoint
    async def get(self) -> None:
        """Return what the viewer has muted."""
        await self._answer_mutes()

    @endpoint
    async def put(self) -> None:
        """Mute a notebook or a thread."""
        await self._switch(on=True)

    @endpoint
    async def delete(self) -> None:
        """Call again for a notebook or a thread."""
        await self._switch(on=False)

    async def _switch(self, *, on: bool) -> None:
        if unknown := next(iter(self.request.query_arguments.keys() - {*MUTED_KINDS, "token"}), None):
            raise Invalid(f"There is nothing named {unknown!r} to mute: say ?notebook=… or ?thread=….", field=unknown)
        named = [
            Mute(kind=kind, name=name) for kind in MUTED_KINDS for name in self.get_query_arguments(kind, strip=False)
        ]
        if len(named) != 1 or not 1 <= len(named[0].name) <= MAX_NAME:
            raise Invalid(
                f"Name one notebook or one thread, as ?notebook=… or ?thread=…, in at most {MAX_NAME} characters.",
                field="notebook",
            )
        await self.service.mute(self.owner, self.viewer, named[0], on=on)
        await self._answer_mutes()

    async def _answer_mutes(self) -> None:
        self.answer({"mutes": await self.service.mutes(self.owner, self.viewer)})


class OneKernel(Submitting):
    """``kernels/{id}``."""

    @endpoint
    async def get(self, kernel_id: str) -> None:
        """Return where a kernel's notebook is now, as its jobs would say."""
        self.answer({"notebook": (await self.located(Origin(kernel=kernel_id))).notebook})


class Inbox(ApiHandler):
    """What both routes of the inbox answer."""

    async def answer_inbox(self, *, unread_only: bool = False) -> None:
        """Finish with the viewer's notices."""
        notices = await self.service.notices(self.owner, self.viewer)
        unread = [notice for notice in notices if notice.read_at is None]
        shown = unread if unread_only else notices
        calling = sum(not notice.muted for notice in unread)
        self.answer({"notices": [notice_form(notice) for notice in shown], "unread": calling})


class Notices(Inbox):
    """``notices``."""

    @endpoint
    async def get(self) -> None:
        """Return the inbox."""
        unread = self.get_query_argument("unread", "false")
        if unread not in ("true", "false"):
            raise Invalid(f"unread must be true or false, not {unread!r}.", field="unread")
        await self.answer_inbox(unread_only=unread == "true")


class ReadNotices(Inbox):
    """``notices/read``."""

    @endpoint
    async def post(self) -> None:
        """Mark notices read."""
        reading = decode_request(self.request.body, Reading)
        if (reading.ids is None) != reading.all:
            raise Invalid("Give either ids (a list) or all: true.", field="ids")
        await self.service.read(self.owner, self.viewer, reading.ids)
        await self.answer_inbox()


class OneNotice(ApiHandler):
    """``notices/{id}``."""

    @endpoint
    async def delete(self, notice_id: str) -> None:
        """Dismiss a notice."""
        await self.service.dismiss(self.owner, self.viewer, notice_id)
        self.set_status(204)
        self.finish()


class Costs(ApiHandler):
    """``costs``."""

    @endpoint
    async def get(self) -> None:
        """Add up what jobs cost."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"by", "since", "until", "token"}), None):
            raise Invalid(f"There is no filter named {unknown!r}.", field=unknown)
        asked = self.get_query_argument("by", "day")
        by = next((key for key in COST_KEYS if key == asked), None)
        if by is None:
            raise Invalid(f"by must be one of {', '.join(COST_KEYS)}, not {asked!r}.", field="by")
        rows = await self.service.costs(self.owner, by, since=self._time("since"), until=self._time("until"))
        self.answer({"by": by, "costs": rows, "today": self.service.today})

    def _time(self, name: str) -> int | None:
        text = self.get_query_argument(name, None, strip=False)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 13) or int(text) > MAX_TIME:
            raise Invalid(f"{name} must be a time in whole Unix seconds, not {text[:60]!r}.", field=name)
        return int(text)


class Prices(ApiHandler):
    """``prices``."""

    @endpoint
    async def get(self) -> None:
        """Say what a request would cost by list prices, and which model a name or none stands for."""
        known = {"model", "input_tokens", "output_tokens", "token"}
        if unknown := next(iter(self.request.query_arguments.keys() - known), None):
            raise Invalid(f"There is nothing named {unknown!r} to ask for.", field=unknown)
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
            raise Invalid(f"{name} must be a number of tokens, not {text[:60]!r}.", field=name)
        return int(text)


class Models(ApiHandler):
    """``models``."""

    @endpoint
    async def get(self) -> None:
        """Return what can be asked right now, and why the rest cannot."""
        if unknown := next(iter(self.request.query_arguments.keys() - {"refresh", "token"}), None):
            raise Invalid(f"There is nothing named {unknown!r} to ask for: say ?refresh=true.", field=unknown)
        refresh = self.get_query_argument("refresh", "false")
        if refresh not in ("true", "false"):
            raise Invalid(f"refresh must be true or false, not {refresh!r}.", field="refresh")
        providers = await self.service.models(refresh=refresh == "true")
        default = await self.service.default()
        self.answer(
            {
                "default": default and default.model,
                "default_why": default and default.why,
                "aliases": self.service.aliases,
                "providers": providers,
            }
        )


class Status(ApiHandler):
    """``status``."""

    @endpoint
    async def get(self) -> None:
        """Return the version, the store, the counts and the limits."""
        service = self.service
        default = await service.default()
        self.answer(
            {
                "version": __version__,
                "protocol": PROTOCOL_VERSION,
                "server": service.server,
                "store": service.store_kind,
                "counts": await service.counts(self.owner),
                "limits": service.limits,
                "default_model": default and default.model,
                "warnings": service.warnings,
            }
        )


ROUTES = [
    (r"jobs", Jobs),
    (r"jobs/([A-Za-z0-9_-]+)", OneJob),
    (r"jobs/([A-Za-z0-9_-]+)/cancel", Cancel),
    (r"jobs/([A-Za-z0-9_-]+)/retry", Retry),
    (r"groups", Groups),
    (r"groups/([A-Za-z0-9_-]+)", OneGroup),
    (r"groups/([A-Za-z0-9_-]+)/answers", GroupAnswers),
    (r"groups/([A-Za-z0-9_-]+)/cancel", CancelGroup),
    (r"groups/([A-Za-z0-9_-]+)/retry", RetryGroup),
    (r"kernels/([A-Za-z0-9_-]+)", OneKernel),
    (r"mutes", Mutes),
    (r"notices", Notices),
    (r"notices/read", ReadNotices),
    (r"notices/([A-Za-z0-9_-]+)", OneNotice),
    (r"costs", Costs),
    (r"prices", Prices),
    (r"models", Models),
    (r"status", Status),
]
