"""A job in the hands of a notebook or a script."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.costs import Cost
from ..core.errors import BgStreamError
from ..core.events import Source, ToolCall
from ..core.machine import Answer, Fault, Status
from ..core.wire import answer_form
from .bundle import Shown, bundle
from .costs import usd
from .errors import Incomplete
from .follow import Deltas, Follower
from .forms import Counts, JobForm
from .listing import state

if TYPE_CHECKING:
    from .api import Api
    from .background import Background

T = TypeVar("T")


class Job:
    """One job on the server; forgetting the handle, or interrupting what waits for it, never ends the job.

    ``wait`` returns it however it ended. ``result``, ``await`` and iteration want a whole answer and raise Incomplete
    if there is none: a text that stopped in the middle must not look finished. Everything that asks the server raises
    ServerUnreachable if there is no answer, NotFound if the job was deleted.
    """

    def __init__(self, form: JobForm, background: Background[Api]) -> None:
        self._form = form
        self._background = background
        self._follower = Follower(form.id)

    @property
    def id(self) -> str:
        """The job's id on its server."""
        return self._form.id

    @property
    def model(self) -> str:
        """The model's full name, ``provider/name``."""
        return self._form.model

    @property
    def title(self) -> str:
        """The given title, or the prompt's first words."""
        return self._form.title

    @property
    def thread(self) -> str | None:
        """The conversation it belongs to."""
        return self._form.thread

    @property
    def status(self) -> Status:
        """Ask what it is doing: queued, running, waiting, completed, failed, cancelled or interrupted."""
        return self._form.status if self._form.ended else self._now().status

    @property
    def text(self) -> str:
        """Ask for the answer so far."""
        return self._now().text

    @property
    def reasoning(self) -> str:
        """Ask for the reasoning so far, where the provider shows it."""
        return self._now().reasoning

    @property
    def usage(self) -> Counts | None:
        """Ask for the counts of the last attempt: input_tokens, output_tokens, cached_tokens, reasoning_tokens, …."""
        if self._form.ended:
            return self._form.usage
        counts: Counts | None = answer_form(self._now())["usage"]
        return counts

    @property
    def cost(self) -> Cost | None:
        """Ask what all attempts cost: ``usd``, and whether that is ``estimated``; None if it is not known."""
        return self._form.cost if self._form.ended else self._now().cost

    @property
    def finish_reason(self) -> str | None:
        """Ask why it ended, once it has completed: stop, length, content_filter, refusal, tool_calls, …."""
        return self._form.finish_reason if self._form.ended else self._now().finish_reason

    @property
    def sources(self) -> tuple[Source, ...]:
        """Ask for the pages that it rests on so far, each with ``url`` and ``title``."""
        return self._now().sources

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Ask for the tools that the model wants called; nobody calls them. Each has ``name`` and ``arguments``."""
        return self._now().tool_calls

    @property
    def error(self) -> Fault | None:
        """Ask why it failed, was interrupted, or waits: a ``code`` and a ``message``."""
        return self._form.error if self._form.ended else self._now().error

    @property
    def not_before(self) -> float | None:
        """Ask when the next try is, in Unix seconds; None unless it waits for one."""
        return None if self._form.ended else self._now().not_before

    @property
    def retry_of(self) -> str | None:
        """The id of the ended job that this one asks again."""
        return self._form.retry_of

    @property
    def retried_by(self) -> str | None:
        """Ask for the id of the job that asks this one again; ``retry`` returns it."""
        return self._background.run(lambda api: api.job(self.id)).retried_by

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until it has ended in any way; raises TimeoutError after ``timeout`` seconds.

        Neither that nor an interrupt stops the job.
        """
        if not self._form.ended:
            self._background.run(lambda api: self._follower.end(api, timeout))
        return self

    def result(self, timeout: float | None = None) -> str:
        """Wait for the whole answer and return its text; raises Incomplete, or TimeoutError as ``wait`` does."""
        answer = self._background.run(lambda api: self._follower.end(api, timeout))
        self._demand_whole(answer)
        return answer.text

    def __await__(self) -> Generator[Any, None, str]:
        return self._awaited().__await__()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the text in pieces, from its beginning, as they come; joined they are the text.

        Raises Incomplete after the last piece of an answer that is not whole, StartedOver if the provider had to be
        asked again and the pieces so far are void.
        """
        deltas = Deltas(self._follower)
        while (delta := self._background.run(deltas.next)) is not None:
            yield delta
        self._demand_whole(self._follower.answer)

    async def __aiter__(self) -> AsyncIterator[str]:
        deltas = Deltas(self._follower)
        while (delta := await self._background.call(deltas.next)) is not None:
            yield delta
        self._demand_whole(self._follower.answer)

    def cancel(self) -> Job:
        """Stop it, with what it has said so far; one that has ended stays as it is."""
        self._form = self._background.run(lambda api: api.cancel(self.id))
        return self

    def retry(self) -> Job:
        """Ask the same again, of a job that has ended; returns the new job, also when called again.

        Raises Conflict (code ``not_ended``) while it goes on, QueueFull.
        """
        return Job(self._background.run(lambda api: api.retry(self.id)), self._background)

    def __repr__(self) -> str:
        known = self._known()
        said = state(known.status, known.not_before, time.time())
        why = f": {known.error.code}" if known.error else ""
        cost = f" {usd(known.cost.usd, estimated=known.cost.estimated)}" if known.cost else ""
        return f"<Job {self.id} {self.model} {said}{why}{cost}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        try:
            answer = self._now()
        except BgStreamError:
            answer = self._follower.answer  # a picture of what is known is better than a traceback
        return self._bundle(answer)

    def placeholder(self) -> dict[str, Any]:
        """Return the display bundle of what is known, without asking the server."""
        return self._bundle(self._follower.answer)

    async def _awaited(self) -> str:
        answer = await self._background.call(lambda api: self._follower.end(api, None))
        self._demand_whole(answer)
        return answer.text

    def _now(self) -> Answer:
        return self._background.run(self._catch_up)

    def _catch_up(self, api: Api) -> Coroutine[Any, Any, Answer]:
        return self._follower.catch_up(api)

    def _known(self) -> Answer:
        answer = self._follower.answer
        return self._described() if self._form.ended or answer.status == "new" else answer

    def _described(self) -> Answer:
        form = self._form
        return Answer(status=form.status, cost=form.cost, error=form.error, not_before=form.not_before)

    def _bundle(self, answer: Answer) -> dict[str, Any]:
        return bundle(self._shown(answer))

    def _shown(self, answer: Answer) -> Shown:
        if answer.status == "new":  # nothing of the log is known yet
            return Shown(self.id, self.model, self._form.cursor, self._described())
        return Shown(self.id, self.model, self._follower.cursor, answer)

    def _demand_whole(self, answer: Answer) -> None:
        if answer.status == "completed":
            return
        if answer.error is None:
            raise Incomplete(f"The job {self.id} was {answer.status}.", code=answer.status, job=self)
        raise Incomplete(
            f"The job {self.id} {_ENDED[answer.status]}: {answer.error.message}", code=answer.error.code, job=self
        )


_ENDED = {"failed": "failed", "interrupted": "was interrupted"}
