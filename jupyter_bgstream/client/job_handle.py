"""A job in the hands of a notebook or a script."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.costs import Cost
from ..core.errors import BgStreamError
from ..core.events import Citation, ToolCall
from ..core.schemas import JobDetail, JobInfo, MessageInfo, UsageInfo
from ..core.schemas.convert import usage_info
from ..core.state import Answer, ErrorInfo
from ..core.terminal_text import visible_line
from ..outputs.mimebundle import OutputSnapshot, bundle
from .costs import usd
from .default_connection import default_background
from .errors import IncompleteAnswerError
from .execution import JobsDisplay, is_executed, show
from .follower import Deltas, Follower
from .images import Picture, Pictures
from .job_table import state
from .voila import in_voila, mime_bundle

if TYPE_CHECKING:
    # Not at run time: Jedi 0.20 completes nothing of an object with a property that is a Literal.
    from ..core.state import Status
    from .api import Api
    from .background import Background
    from .widgets.job import JobWidget

_RETRIES = 50  # retries of retries that are followed


class Job:
    """One job on the server; forgetting the handle, or interrupting what waits for it, never ends the job.

    ``wait`` returns it however it ended. ``result``, ``await`` and iteration want a whole answer and raise
    IncompleteAnswerError if there is none: a text that stopped in the middle must not look finished. Everything that
    asks the server raises ServerUnreachableError if there is no answer, NotFoundError if the job was deleted. Two
    handles of one job are equal, and a handle may be pickled. Whoever has read an answer that has ended by its handle
    finds its notice read.

    >>> job = bg.submit("Say hello.", model="demo/echo")
    >>> job.wait().status
    'completed'
    >>> for piece in job:
    ...     print(piece, end="")
    *This is the demo model...
    """

    def __init__(self, info: JobInfo, background: Background[Api]) -> None:
        self._info = info
        self._background = background
        self._follower = Follower(info.id)
        self._pictures = (self._follower.logs, Pictures(info.id, background))
        self._detail: JobDetail | None = None
        self._read = False

    @property
    def id(self) -> str:
        """The job's id on its server."""
        return self._info.id

    @property
    def model(self) -> str:
        """The model's full name, ``provider/name``."""
        return self._info.model

    @property
    def title(self) -> str:
        """The given title, or the prompt's first words."""
        return self._info.title

    @property
    def thread(self) -> str | None:
        """The conversation it belongs to."""
        return self._info.thread

    @property
    def submitted_by(self) -> str | None:
        """Name of the person who submitted it, where the server names people; None for jobs of kernels."""
        return self._info.submitted_by

    @property
    def info(self) -> JobInfo:
        """What the server said of it last: its states, times and origin, as PROTOCOL.md has them."""
        return self._info

    @property
    def status(self) -> Status:
        """Ask what it is doing: queued, running, waiting, completed, failed, cancelled or interrupted."""
        return self._info.status if self._info.ended else self._now().status

    @property
    def text(self) -> str:
        """Ask for the answer so far."""
        answer = self._now()
        if answer.ended:
            self._mark_read()
        return answer.text

    @property
    def reasoning(self) -> str:
        """Ask for the reasoning so far, where the provider shows it."""
        return self._now().reasoning

    @property
    def messages(self) -> Sequence[MessageInfo]:
        """Ask for what was sent to the model, each ``{"role", "content"}``; of a picture there is only its size.

        >>> bg.submit("Say hello.", system="Be brief.", model="demo/echo").messages[0]
        {'role': 'system', 'content': 'Be brief.'}
        """
        return self._asked().messages

    @property
    def params(self) -> dict[str, Any]:
        """Ask for the parameters that went to the provider."""
        return self._asked().params or {}

    @property
    def usage(self) -> UsageInfo | None:
        """Ask for the counts of the last attempt: input_tokens, output_tokens, cached_tokens, reasoning_tokens, …."""
        return self._info.usage if self._info.ended else usage_info(self._now().usage)

    @property
    def cost(self) -> Cost | None:
        """Ask what all attempts cost: ``usd``, and whether that is ``estimated``; None if it is not known."""
        return self._info.cost if self._info.ended else self._now().cost

    @property
    def finish_reason(self) -> str | None:
        """Ask why it ended, once it has completed: stop, length, content_filter, refusal, tool_calls, …."""
        return self._info.finish_reason if self._info.ended else self._now().finish_reason

    @property
    def sources(self) -> tuple[Citation, ...]:
        """Ask for the pages that it rests on so far, each with ``url`` and ``title``."""
        return self._now().sources

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Ask for the tools that the model wants called; nobody calls them. Each has ``name`` and ``arguments``."""
        return self._now().tool_calls

    @property
    def images(self) -> list[Picture]:
        """Ask for the pictures of the answer so far; each is shown by a notebook, and has ``data`` and ``save``.

        >>> bg.submit("Say hello.", model="demo/echo").wait().images
        []
        """
        answer = self._now()
        if answer.ended:
            self._mark_read()
        return self._pictures_here().of(answer.images)

    @property
    def error(self) -> ErrorInfo | None:
        """Ask why it failed, was interrupted, or waits: a ``code`` and a ``message``.

        >>> bg.submit("x", model="demo/nothing-like-it").wait().error.code
        'model_not_found'
        """
        return self._info.error if self._info.ended else self._now().error

    @property
    def not_before(self) -> float | None:
        """Ask when the next try is, in Unix seconds; None unless it waits for one."""
        return None if self._info.ended else self._now().not_before

    @property
    def retry_of(self) -> str | None:
        """The id of the ended job that this one asks again."""
        return self._info.retry_of

    @property
    def retried_by(self) -> str | None:
        """Ask for the id of the job that asks this one again; ``retry`` returns it."""
        return self._background.run(lambda api: api.job(self.id)).retried_by

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until it has ended in any way; raises TimeoutError after ``timeout`` seconds.

        Neither that nor an interrupt stops the job.
        """
        if not self._info.ended:
            self._background.run(lambda api: self._follower.end(api, timeout))
        return self

    def result(self, timeout: float | None = None) -> str:
        """Wait for the whole answer and return its text.

        Raises IncompleteAnswerError, or TimeoutError as ``wait`` does.

        >>> bg.submit("Say hello.", model="demo/echo").result()
        '...Say hello...'
        """
        return self._whole(self._background.run(lambda api: self._follower.end(api, timeout)))

    def __await__(self) -> Generator[Any, None, str]:
        return self._awaited().__await__()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the text in pieces, from its beginning, as they come; joined they are the text.

        Raises IncompleteAnswerError after the last piece of an answer that is not whole, AnswerRestartedError if the
        provider had to be asked again and the pieces so far are void.
        """
        deltas = Deltas(self._follower)
        while (delta := self._background.run(deltas.next)) is not None:
            yield delta
        self._whole(self._follower.answer)

    async def __aiter__(self) -> AsyncIterator[str]:
        deltas = Deltas(self._follower)
        while (delta := await self._background.call(deltas.next)) is not None:
            yield delta
        self._whole(self._follower.answer)

    def cancel(self) -> Job:
        """Stop it, with what it has said so far; one that has ended stays as it is.

        >>> bg.submit("A long story, please.", model="demo/slow").cancel().status
        'cancelled'
        """
        self._info = self._background.run(lambda api: api.cancel(self.id))
        return self

    def retry(self) -> Job:
        """Ask the same again, of a job that has ended; returns the new job, also when called again.

        Raises ConflictError (code ``not_ended``) while it goes on, QueueFullError.

        >>> again = bg.submit("Say hello.", model="demo/echo").wait().retry()
        >>> again.result()
        '...Say hello...'
        """
        return Job(self._background.run(lambda api: api.retry(self.id)), self._background)

    def delete(self) -> None:
        """Stop it if it goes on, and delete it from the server with all it has said.

        >>> job = bg.submit("Forget this.", model="demo/echo")
        >>> job.delete()
        >>> bg.job(job.id)
        Traceback (most recent call last):
        ...
        jupyter_bgstream.core.errors.NotFoundError: ...
        """
        self._background.run(lambda api: api.delete(self.id))

    def detail(self) -> JobDetail:
        """Ask for all that the server has of it: as ``info``, and with what it was asked."""
        return self._background.run(lambda api: api.detail(self.id))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.id == other.id

    def __hash__(self) -> int:
        return hash((Job, self.id))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._info,)

    def __repr__(self) -> str:
        known = self._known()
        said = state(known.status, known.not_before, time.time())
        why = f": {known.error.code}" if known.error else ""
        cost = f" {usd(known.cost.usd, estimated=known.cost.estimated)}" if known.cost else ""
        return visible_line(f"<Job {self.id} {self.model} {said}{why}{cost}>")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        if in_voila():
            return mime_bundle([self.view()])
        return bundle(self.snapshot(fresh=True))

    def _ipython_display_(self) -> None:
        if not is_executed():
            raise NotImplementedError  # IPython shows the bundle
        self.snapshot(fresh=True)
        show(JobsDisplay([self]))

    def view(self) -> JobWidget:
        """Return a widget of it: live in any front end, to be put beside others, with traits to observe and link."""
        from .widgets.job import JobWidget  # noqa: PLC0415 - anywidget takes longer to import than all the rest

        return JobWidget(self)

    def placeholder(self) -> dict[str, Any]:
        """Return the display bundle of what is known, without asking the server."""
        return bundle(self.snapshot())

    def snapshot(self, *, fresh: bool = False) -> OutputSnapshot:
        """Return what a display shows of it; with ``fresh`` the server is asked, if it is there."""
        answer = self._follower.answer
        if fresh:
            try:
                answer = self._now()
                self._background.run(self._load_images)
            except BgStreamError:
                answer = self._follower.answer  # a picture of what is known is better than a traceback
        if answer.status == "new":  # nothing of the log is known yet
            return OutputSnapshot(self.id, self.model, self._info.cursor, self._described())
        files = self._pictures_here().files(answer.images)
        return OutputSnapshot(self.id, self.model, self._follower.cursor, answer, files)

    async def _awaited(self) -> str:
        return self._whole(await self._background.call(lambda api: self._follower.end(api, None)))

    def _now(self) -> Answer:
        return self._background.run(self._catch_up)

    def _catch_up(self, api: Api) -> Coroutine[Any, Any, Answer]:
        return self._follower.catch_up(api)

    def _pictures_here(self) -> Pictures:
        logs, pictures = self._pictures
        if logs != self._follower.logs:  # deleted, and submitted again under its id
            pictures = Pictures(self.id, self._background)
            self._pictures = (self._follower.logs, pictures)
        return pictures

    async def _newest(self, api: Api) -> Job:
        """Return the newest retry of a job without a whole answer, or the job itself; its log has been read."""
        job = self
        answer = await job._follower.catch_up(api)
        for _ in range(_RETRIES):
            if not answer.ended or answer.status == "completed" or not (again := (await api.job(job.id)).retried_by):
                break
            job = Job(await api.job(again), self._background)
            answer = await job._follower.catch_up(api)
        return job

    async def _load_images(self, api: Api) -> None:
        await self._pictures_here().load(api, self._follower.answer.images)

    def _asked(self) -> JobDetail:
        if self._detail is None:  # it never changes
            self._detail = self.detail()
        return self._detail

    def _known(self) -> Answer:
        answer = self._follower.answer
        return self._described() if self._info.ended or answer.status == "new" else answer

    def _described(self) -> Answer:
        info = self._info
        return Answer(status=info.status, cost=info.cost, error=info.error, not_before=info.not_before)

    def _whole(self, answer: Answer) -> str:
        self._mark_read()
        if answer.status == "completed":
            return answer.text
        if answer.error is None:
            raise IncompleteAnswerError(f"The job {self.id} was {answer.status}.", code=answer.status, job=self)
        raise IncompleteAnswerError(
            f"The job {self.id} {_ENDED[answer.status]}: {answer.error.message}", code=answer.error.code, job=self
        )

    def _mark_read(self) -> None:
        # Nobody waits for it.
        if not self._read:
            self._read = True
            self._background.start(lambda api: api.reading.mark(self.id))


_ENDED = {"failed": "failed", "interrupted": "was interrupted"}


def _restored(info: JobInfo) -> Job:
    return Job(info, default_background)
