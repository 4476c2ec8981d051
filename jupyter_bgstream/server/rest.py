"""REST: jobs, notices, models and status. See PROTOCOL.md."""

from __future__ import annotations

from typing import Any

import msgspec
from jupyter_core.utils import ensure_async

from .. import __version__
from ..core.errors import Invalid, TooLarge
from ..core.job import JobId, JobSpec, Label, Message, OnRestart, Origin, Priority, Tags, Title
from ..core.wire import PROTOCOL_VERSION, decode_request, job_form, job_with_answer, notice_form
from ..store.base import JobFilter
from .handlers import ApiHandler, endpoint

STATES = ("queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted")
MAX_BODY = 8 * 1024 * 1024  # bytes of a submitted job
MAX_IDS = 500  # jobs that one list request may name
MAX_PAGE = 500  # jobs in one answer


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST jobs``."""

    id: JobId | None = None
    model: Label | None = None
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    params: dict[str, Any] = {}
    thread: Label | None = None
    title: Title = ""
    tags: Tags = ()
    group: Label | None = None
    priority: Priority = "interactive"
    source: Origin = Origin()
    on_restart: OnRestart = "interrupt"

    def spec(self, default_model: str | None) -> JobSpec:
        """Return what is asked for; raises Invalid."""
        if (self.prompt is None) == (self.messages is None):
            raise Invalid("Give either prompt (a string) or messages (a list), not both.", field="prompt")
        model = self.model or default_model
        if model is None:
            sentence = (
                "No model was named and this server has no default: write provider/name, such as openai/gpt-4o-mini, "
                "or set c.BgStreamApp.default_model in Jupyter's config."
            )
            raise Invalid(sentence, field="model", code="no_default_model")
        return JobSpec(
            model=model,
            messages=self.messages or (Message(role="user", content=self.prompt or ""),),
            params=self.params,
            thread=self.thread,
            title=self.title,
            tags=self.tags,
            group=self.group,
            priority=self.priority,
            source=self.source,
            on_restart=self.on_restart,
        )


class Jobs(ApiHandler):
    """``jobs``."""

    @endpoint
    async def post(self) -> None:
        """Submit a job."""
        if len(self.request.body) > MAX_BODY:
            raise TooLarge(
                f"A job may have at most {MAX_BODY // 1024**2} MiB; this one has {len(self.request.body)} bytes."
            )
        submission = decode_request(self.request.body, Submission)
        spec = submission.spec(self.service.default_model)
        if spec.source.kernel and not spec.source.notebook:
            source = msgspec.structs.replace(spec.source, notebook=await self._notebook_of(spec.source.kernel))
            spec = msgspec.structs.replace(spec, source=source)
        job, new = await self.service.submit(self.owner, spec, submission.id)
        self.answer(job_form(job), 201 if new else 200)

    async def _notebook_of(self, kernel: str) -> str | None:
        # Jupyter knows where a kernel's notebook is now; a kernel only knows where it was when it started.
        # What is wrong with its sessions is no reason to refuse a job.
        sessions: list[dict[str, Any]]
        try:
            sessions = await ensure_async(self.session_manager.list_sessions())  # type: ignore[no-untyped-call]
        except Exception:
            self.log.warning("the notebook of kernel %s cannot be told", kernel, exc_info=True)
            return None
        return next((session["path"] for session in sessions if session["kernel"]["id"] == kernel), None)

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
            fields["ids"] = ids = tuple(filter(None, given.pop("ids").split(",")))
            if len(ids) > MAX_IDS:
                raise Invalid(f"At most {MAX_IDS} ids fit one request; this one has {len(ids)}.", field="ids")
        fields["after"] = given.pop("cursor", None)
        limit = given.pop("limit", "500" if fields.get("ids") else "50")
        if not (limit.isdecimal() and len(limit) < 5) or not 1 <= int(limit) <= MAX_PAGE:
            raise Invalid(f"limit must be a number from 1 to {MAX_PAGE}, not {limit!r}.", field="limit")
        if unknown := next(iter(given.keys() - {"token"}), None):
            raise Invalid(f"There is no filter named {unknown!r}.", field=unknown)
        return JobFilter(limit=int(limit), **fields)


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


class Inbox(ApiHandler):
    """What both routes of the inbox answer."""

    async def answer_inbox(self, *, unread_only: bool = False) -> None:
        """Finish with the viewer's notices."""
        notices = await self.service.notices(self.owner, self.viewer)
        unread = [notice for notice in notices if notice.read_at is None]
        shown = unread if unread_only else notices
        self.answer({"notices": [notice_form(notice) for notice in shown], "unread": len(unread)})


class Notices(Inbox):
    """``notices``."""

    @endpoint
    async def get(self) -> None:
        """Return the inbox."""
        unread = self.get_query_argument("unread", "false")
        if unread not in ("true", "false"):
            raise Invalid(f"unread must be true or false, not {unread!r}.", field="unread")
        await self.answer_inbox(unread_only=unread == "true")


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST notices/read``."""

    ids: tuple[str, ...] | None = None
    all: bool = False


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


class Models(ApiHandler):
    """``models``."""

    @endpoint
    async def get(self) -> None:
        """Return what can be asked right now, and why the rest cannot."""
        self.answer({"default": self.service.default_model, "providers": await self.service.models()})


class Status(ApiHandler):
    """``status``."""

    @endpoint
    async def get(self) -> None:
        """Return the version, the store, the counts and the limits."""
        service = self.service
        self.answer(
            {
                "version": __version__,
                "protocol": PROTOCOL_VERSION,
                "server": service.server,
                "store": service.store_kind,
                "counts": await service.counts(self.owner),
                "limits": service.limits,
                "default_model": service.default_model,
            }
        )


ROUTES = [
    (r"jobs", Jobs),
    (r"jobs/([A-Za-z0-9_-]+)", OneJob),
    (r"jobs/([A-Za-z0-9_-]+)/cancel", Cancel),
    (r"notices", Notices),
    (r"notices/read", ReadNotices),
    (r"notices/([A-Za-z0-9_-]+)", OneNotice),
    (r"models", Models),
    (r"status", Status),
]
