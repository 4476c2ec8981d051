"""``Job``, the handle of a job: its state, text, results and actions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.costs import Cost
from ..core.errors import BgStreamError
from ..core.events import Citation, ToolCall
from ..core.schemas.convert import usage_info
from ..core.schemas.jobs import JobDetail, JobInfo, UsageInfo
from ..core.schemas.messages import MessageInfo
from ..core.state import Answer, ErrorInfo
from ..core.terminal_text import visible_line
from ..outputs.mimebundle import OutputSnapshot, bundle
from .answer_images import AnswerImage, AnswerImages
from .costs import usd
from .default_connection import default_background
from .errors import IncompleteAnswerError
from .executed_notebooks import is_executed, show
from .follower import Deltas, Follower
from .job_display import JobsDisplay
from .job_table import with_delay
from .voila import in_voila, mime_bundle

if TYPE_CHECKING:
    # Not at run time: Jedi 0.20 offers no completions for an object with a property that is a Literal.
    from ..core.state import Status
    from .background_loop import Background
    from .rest_client import Api
    from .widgets.job import JobWidget

_MAX_RETRIES = 50  # length of a chain of retries that is followed


class Job:
    """Handle of a job on the server.

    Dropping the handle, or interrupting code that waits for it, never ends the job. ``wait`` returns the handle however
    the job ended. ``result``, ``await`` and iteration need a complete answer and raise ``IncompleteAnswerError``
    otherwise, so that a truncated text never looks finished. Every method that asks the server raises
    ServerUnreachableError if it does not answer, and NotFoundError if the job was deleted. Two handles of one job are
    equal, and a handle can be pickled. Reading ``text`` or ``result()`` of an ended job marks its notice as read.

    >>> job = bg.submit("Say hello.", model="demo/echo")
    >>> job.wait().status
    'completed'
    >>> for delta in job:
    ...     print(delta, end="")
    *This is the demo model...
    """

    def __init__(self, info: JobInfo, background: Background[Api]) -> None:
        self._info = info
        self._background = background
        self._follower = Follower(info.id)
        self._images = (self._follower.generation, AnswerImages(info.id, background))
        self._detail: JobDetail | None = None
        self._read = False

    @property
    def id(self) -> str:
        """Id of the job on its server."""
        return self._info.id

    @property
    def model(self) -> str:
        """Full name of the model, ``provider/name``."""
        return self._info.model

    @property
    def title(self) -> str:
        """Given title, or the first words of the prompt."""
        return self._info.title

    @property
    def thread(self) -> str | None:
        """Name of the thread that the job belongs to."""
        return self._info.thread

    @property
    def submitted_by(self) -> str | None:
        """Name of the job's submitter, on a server with named users; None for jobs of kernels."""
        return self._info.submitted_by

    @property
    def info(self) -> JobInfo:
        """Last description that the server sent: status, times and source, see PROTOCOL.md; asks nothing."""
        return self._info

    @property
    def status(self) -> Status:
        """Ask for the status: queued, running, waiting, completed, failed, cancelled or interrupted."""
        return self._info.status if self._info.ended else self._answer().status

    @property
    def text(self) -> str:
        """Ask for the text of the answer so far."""
        answer = self._answer()
        if answer.ended:
            self._mark_read()
        return answer.text

    @property
    def reasoning(self) -> str:
        """Ask for the reasoning so far, if the provider sends it."""
        return self._answer().reasoning

    @property
    def messages(self) -> Sequence[MessageInfo]:
        """Ask for the messages that were sent to the model: ``{"role", "content"}``; images only have their size.

        >>> bg.submit("Say hello.", system="Be brief.", model="demo/echo").messages[0]
        {'role': 'system', 'content': 'Be brief.'}
        """
        return self._request().messages

    @property
    def params(self) -> dict[str, Any]:
        """Ask for the parameters that were sent to the provider."""
        return self._request().params or {}

    @property
    def usage(self) -> UsageInfo | None:
        """Ask for the token counts of the last attempt: input_tokens, output_tokens, cached_tokens, …."""
        return self._info.usage if self._info.ended else usage_info(self._answer().usage)

    @property
    def cost(self) -> Cost | None:
        """Ask for the cost of all attempts: ``usd``, and whether it is ``estimated``; None if it is not known."""
        return self._info.cost if self._info.ended else self._answer().cost

    @property
    def finish_reason(self) -> str | None:
        """Ask why a completed answer ended: stop, length, content_filter, refusal, tool_calls, …."""
        return self._info.finish_reason if self._info.ended else self._answer().finish_reason

    @property
    def sources(self) -> tuple[Citation, ...]:
        """Ask for the citations of the answer so far, each with ``url`` and ``title``."""
        return self._answer().sources

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Ask for the tool calls that the model requests, each with ``name`` and ``arguments``; none is executed."""
        return self._answer().tool_calls

    @property
    def images(self) -> list[AnswerImage]:
        """Ask for the images of the answer so far; a notebook shows each, and each has ``data`` and ``save``.

        >>> bg.submit("Say hello.", model="demo/echo").wait().images
        []
        """
        answer = self._answer()
        if answer.ended:
            self._mark_read()
        return self._current_images().of(answer.images)

    @property
    def error(self) -> ErrorInfo | None:
        """Ask why the job failed, was interrupted or waits: a ``code`` and a ``message``.

        >>> bg.submit("x", model="demo/nothing-like-it").wait().error.code
        'model_not_found'
        """
        return self._info.error if self._info.ended else self._answer().error

    @property
    def not_before(self) -> float | None:
        """Ask for the time of the next attempt, in Unix seconds; None unless the job waits for it."""
        return None if self._info.ended else self._answer().not_before

    @property
    def retry_of(self) -> str | None:
        """Id of the job that this one retries."""
        return self._info.retry_of

    @property
    def retried_by(self) -> str | None:
        """Ask for the id of the job that retries this one; ``retry`` returns that job."""
        return self._background.run(lambda api: api.job(self.id)).retried_by

    def done(self) -> bool:
        """Ask whether the job has ended: completed, failed, cancelled or interrupted.

        >>> bg.submit("Say hello.", model="demo/echo").wait().done()
        True
        """
        return self._info.ended or self._answer().ended

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job has ended, and return the handle; neither a timeout nor an interrupt stops the job.

        Raises:
            TimeoutError: the job has not ended after ``timeout`` seconds.

        """
        if not self._info.ended:
            self._background.run(lambda api: self._follower.wait_for_end(api, timeout))
        return self

    def result(self, timeout: float | None = None) -> str:
        """Wait for the complete answer and return its text.

        Raises:
            IncompleteAnswerError: the job failed, was cancelled or was interrupted.
            TimeoutError: the job has not ended after ``timeout`` seconds.

        >>> bg.submit("Say hello.", model="demo/echo").result()
        '...Say hello...'
        """
        return self._complete_text(self._background.run(lambda api: self._follower.wait_for_end(api, timeout)))

    def exception(self, timeout: float | None = None) -> IncompleteAnswerError | None:
        """Wait until the job has ended, and return the error that ``result`` raises; None if the answer is complete.

        >>> bg.submit("x", model="demo/nothing-like-it").exception().code
        'model_not_found'
        """
        try:
            self.result(timeout)
        except IncompleteAnswerError as error:
            return error
        return None

    def __await__(self) -> Generator[Any, None, str]:
        return self._result_async().__await__()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the text deltas from the beginning, live; their concatenation is the text.

        Raises:
            IncompleteAnswerError: after the last delta of an incomplete answer.
            AnswerRestartedError: another attempt has begun; the deltas so far are void.

        """
        deltas = Deltas(self._follower)
        while (delta := self._background.run(deltas.next)) is not None:
            yield delta
        self._complete_text(self._follower.answer)

    async def __aiter__(self) -> AsyncIterator[str]:
        deltas = Deltas(self._follower)
        while (delta := await self._background.call(deltas.next)) is not None:
            yield delta
        self._complete_text(self._follower.answer)

    def cancel(self) -> Job:
        """Cancel the job and keep its text so far; an ended job stays as it is.

        >>> bg.submit("A long story, please.", model="demo/slow").cancel().status
        'cancelled'
        """
        self._info = self._background.run(lambda api: api.cancel(self.id))
        return self

    def retry(self) -> Job:
        """Submit the prompt of an ended job as a new job, and return that; a second call returns the same new job.

        Raises:
            ConflictError: the job has not ended (code ``not_ended``).
            QueueFullError: the server's queue is full.

        >>> again = bg.submit("Say hello.", model="demo/echo").wait().retry()
        >>> again.result()
        '...Say hello...'
        """
        return Job(self._background.run(lambda api: api.retry(self.id)), self._background)

    def delete(self) -> None:
        """Delete the job and its answer from the server; a running job is cancelled first.

        >>> job = bg.submit("Forget this.", model="demo/echo")
        >>> job.delete()
        >>> bg.job(job.id)
        Traceback (most recent call last):
        ...
        jupyter_bgstream.core.errors.NotFoundError: ...
        """
        self._background.run(lambda api: api.delete(self.id))

    def detail(self) -> JobDetail:
        """Ask for everything that the server stores about the job: ``info`` and its request."""
        return self._background.run(lambda api: api.detail(self.id))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.id == other.id

    def __hash__(self) -> int:
        return hash((Job, self.id))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._info,)

    def __repr__(self) -> str:
        answer = self._follower.answer
        known = self._answer_of_info() if self._info.ended or answer.status == "new" else answer
        status = with_delay(known.status, known.not_before, time.time())
        error = f": {known.error.code}" if known.error else ""
        cost = f" {usd(known.cost.usd, estimated=known.cost.estimated)}" if known.cost else ""
        return visible_line(f"<Job {self.id} {self.model} {status}{error}{cost}>")

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
        """Return a live widget for any front end, to lay out beside others, with traits to observe and link."""
        from .widgets.job import JobWidget  # noqa: PLC0415 - anywidget takes longer to import than all the rest

        return JobWidget(self)

    def placeholder(self) -> dict[str, Any]:
        """Return the display bundle of what is known, without asking the server."""
        return bundle(self.snapshot())

    def snapshot(self, *, fresh: bool = False) -> OutputSnapshot:
        """Return what a display shows of the job; with ``fresh`` the server is asked first, if it answers."""
        answer = self._follower.answer
        if fresh:
            try:
                answer = self._answer()
                self._background.run(self._load_images)
            except BgStreamError:
                answer = self._follower.answer  # an old display is better than a traceback
        if answer.status == "new":  # nothing of the log has been read yet
            return OutputSnapshot(self.id, self.model, self._info.cursor, self._answer_of_info())
        files = self._current_images().files(answer.images)
        return OutputSnapshot(self.id, self.model, self._follower.cursor, answer, files)

    async def _result_async(self) -> str:
        return self._complete_text(await self._background.call(lambda api: self._follower.wait_for_end(api, None)))

    def _answer(self) -> Answer:
        return self._background.run(self._follower.catch_up)

    def _current_images(self) -> AnswerImages:
        generation, images = self._images
        if generation != self._follower.generation:  # the job was deleted and submitted again with the same id
            images = AnswerImages(self.id, self._background)
            self._images = (self._follower.generation, images)
        return images

    async def _newest(self, api: Api) -> Job:
        """Return the newest retry of a job without a complete answer, or the job itself; its log has been read."""
        job = self
        answer = await job._follower.catch_up(api)
        for _ in range(_MAX_RETRIES):
            if not answer.ended or answer.status == "completed" or not (again := (await api.job(job.id)).retried_by):
                break
            job = Job(await api.job(again), self._background)
            answer = await job._follower.catch_up(api)
        return job

    async def _load_images(self, api: Api) -> None:
        await self._current_images().load(api, self._follower.answer.images)

    def _request(self) -> JobDetail:
        if self._detail is None:  # it never changes
            self._detail = self.detail()
        return self._detail

    def _answer_of_info(self) -> Answer:
        info = self._info
        return Answer(status=info.status, cost=info.cost, error=info.error, not_before=info.not_before)

    def _complete_text(self, answer: Answer) -> str:
        self._mark_read()
        if answer.status == "completed":
            return answer.text
        if answer.error is None:
            raise IncompleteAnswerError(f"The job {self.id} was {answer.status}.", code=answer.status, job=self)
        end = "failed" if answer.status == "failed" else "was interrupted"
        raise IncompleteAnswerError(
            f"The job {self.id} {end}: {answer.error.message}", code=answer.error.code, job=self
        )

    def _mark_read(self) -> None:
        # In the background: no caller waits for it.
        if not self._read:
            self._read = True
            self._background.start(lambda api: api.read_receipts.mark(self.id))


def _restored(info: JobInfo) -> Job:
    return Job(info, default_background)
