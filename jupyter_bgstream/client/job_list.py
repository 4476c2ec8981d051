"""``Jobs`` (a list that displays as a table) and ``Comparison`` (one prompt, several models)."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any, overload

from ..outputs.mimebundle import bundle_of_several
from .executed_notebooks import is_executed, show
from .job_display import JobsDisplay
from .job_handle import Job
from .job_table import table
from .text_table import Table
from .voila import in_voila, mime_bundle


class Jobs(Table, list[Job]):
    """List of jobs that displays as a table, as of its creation.

    >>> jobs = [bg.submit(f"Say {number}.", model="demo/echo", tags=["numbers"]) for number in range(3)]
    >>> bg.jobs(tag="numbers").wait()[0].title
    'Say 2.'
    """

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        return table([job.info for job in self], time.time())

    def wait(self, timeout: float | None = None) -> Jobs:
        """Wait until all jobs have ended; raises TimeoutError after ``timeout`` seconds."""
        _wait(self, timeout)
        return self


class Comparison(Sequence[Job]):
    """Answers of several models to one prompt, side by side, as ``%%bg MODEL MODEL --name VARIABLE`` assigns them.

    It is a sequence of jobs. ``text`` has the answers by model; ``wait`` waits until all have ended; ``result`` and
    ``await`` need complete answers.

    >>> models = ["demo/echo", "demo/quick"]
    >>> both = bg.Comparison(bg.submit("Say hello.", model=model) for model in models)
    >>> for model, text in both.result().items():
    ...     print(model, len(text.split()))
    demo/echo ...
    demo/quick ...
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = tuple(jobs)

    @property
    def names(self) -> list[str]:
        """Full names of the models, in order; a repeated model is ``provider/name (2)``."""
        names: list[str] = []
        seen: dict[str, int] = {}
        for job in self._jobs:
            seen[job.model] = number = seen.get(job.model, 0) + 1
            names.append(job.model if number == 1 else f"{job.model} ({number})")
        return names

    @property
    def text(self) -> dict[str, str]:
        """Ask for the answers so far, by model."""
        return {name: job.text for name, job in zip(self.names, self._jobs, strict=True)}

    def done(self) -> bool:
        """Ask whether all jobs have ended."""
        return all(job.done() for job in self._jobs)

    def wait(self, timeout: float | None = None) -> Comparison:
        """Wait until all jobs have ended; raises TimeoutError after ``timeout`` seconds, which stops no job."""
        _wait(self._jobs, timeout)
        return self

    def result(self, timeout: float | None = None) -> dict[str, str]:
        """Wait for all jobs and return the answers by model.

        Raises:
            IncompleteAnswerError: a job has no complete answer.
            TimeoutError: a job has not ended after ``timeout`` seconds.

        """
        self.wait(timeout)
        return {name: job.result() for name, job in zip(self.names, self._jobs, strict=True)}

    def cancel(self) -> Comparison:
        """Cancel all jobs that have not ended."""
        for job in self._jobs:
            job.cancel()
        return self

    def __await__(self) -> Generator[Any, None, dict[str, str]]:
        return self._result_async().__await__()

    async def _result_async(self) -> dict[str, str]:
        return {name: await job for name, job in zip(self.names, self._jobs, strict=True)}

    @overload
    def __getitem__(self, place: int) -> Job: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Job, ...]: ...
    def __getitem__(self, place: int | slice) -> Job | tuple[Job, ...]:
        return self._jobs[place]

    def __len__(self) -> int:
        return len(self._jobs)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._jobs)) or "<no jobs>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        if in_voila() and self._jobs:
            return mime_bundle([job.view() for job in self._jobs])
        return bundle_of_several([job.snapshot(fresh=True) for job in self._jobs])

    def _ipython_display_(self) -> None:
        if not self._jobs or not is_executed():
            raise NotImplementedError  # IPython shows the bundle
        for job in self._jobs:
            job.snapshot(fresh=True)
        show(JobsDisplay(self._jobs, side_by_side=True))


def _wait(jobs: Iterable[Job], timeout: float | None) -> None:
    until = None if timeout is None else time.monotonic() + timeout
    for job in jobs:
        job.wait(None if until is None else max(0.0, until - time.monotonic()))
