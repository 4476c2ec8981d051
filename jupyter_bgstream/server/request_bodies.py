"""Schemas of the bodies of requests, and the jobs and batches that they describe."""

from typing import Annotated, Any

import msgspec

from ..core.batches import BatchSpec
from ..core.errors import InvalidRequestError
from ..core.job import (
    IdleTimeout,
    JobId,
    JobSource,
    JobSpec,
    Label,
    OnRestart,
    Priority,
    RetryPolicy,
    StoredPriority,
    Tags,
    Title,
)
from ..core.messages import Message
from ..core.schemas.convert import copied

MAX_JOBS = 500  # of a batch, in one request


def no_default_model() -> InvalidRequestError:
    """Return the error of a request without a model if there is no default model."""
    message = (
        "The request names no model, and this server has no default model. Write provider/name, such as"
        " openai/gpt-6-luna, or set c.BgStreamApp.default_model in Jupyter's config."
    )
    return InvalidRequestError(message, field="model", code="no_default_model")


class JobSubmission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST jobs``."""

    id: JobId | None = None
    model: Label | None = None
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    params: dict[str, Any] = {}
    thread: Label | None = None
    title: Title = ""
    tags: Tags = ()
    batch: Label | None = None
    priority: Priority = "interactive"
    source: JobSource = JobSource()
    on_restart: OnRestart = "interrupt"
    retry_policy: RetryPolicy = "before_first_token"
    idle_timeout: IdleTimeout | None = None

    def spec(self, default_model: str | None) -> JobSpec:
        """Return the job to submit.

        Raises:
            InvalidRequestError: There is no model, or not exactly one of prompt and messages.

        """
        if (self.prompt is None) == (self.messages is None):
            raise InvalidRequestError("Give either prompt (a string) or messages (a list), not both.", field="prompt")
        model = self.model or default_model
        if model is None:
            raise no_default_model()
        return copied(
            JobSpec,
            self,
            model=model,
            messages=self.messages or (Message(role="user", content=self.prompt or ""),),
            priority=StoredPriority[self.priority],
        )


class BatchSubmission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST batches``."""

    id: JobId
    total: Annotated[float, msgspec.Meta(ge=1, le=1_000_000, multiple_of=1)]  # in JSON 1.0 is an integer too
    title: Title = ""
    source: JobSource = JobSource()
    concurrency: Annotated[float, msgspec.Meta(ge=1, le=1000, multiple_of=1)] | None = None
    jobs: Annotated[tuple[JobSubmission, ...], msgspec.Meta(max_length=MAX_JOBS)] = ()

    def batch_spec(self) -> BatchSpec:
        """Return the announced batch."""
        concurrency = None if self.concurrency is None else int(self.concurrency)
        return copied(BatchSpec, self, total=int(self.total), concurrency=concurrency)

    def job_specs(self, default_model: str | None) -> list[tuple[str, JobSpec]]:
        """Return the ids and jobs to submit.

        Raises:
            InvalidRequestError: A job is wrong; the field names it.

        """
        return [self._job_spec(index, job, default_model) for index, job in enumerate(self.jobs)]

    def _job_spec(self, index: int, job: JobSubmission, default_model: str | None) -> tuple[str, JobSpec]:
        at = f"jobs[{index}]"
        if job.id is None:
            raise InvalidRequestError(
                "A job of a batch needs an id, so that the request can be repeated.", field=f"{at}.id"
            )
        if job.batch not in (None, self.id):
            raise InvalidRequestError(
                f"batch must be the id of this batch, {self.id}, or be left out.", field=f"{at}.batch"
            )
        try:
            spec = job.spec(default_model)
        except InvalidRequestError as error:
            raise InvalidRequestError(error.message, field=f"{at}.{error.field}", code=error.code) from None
        return job.id, msgspec.structs.replace(spec, source=self._with_defaults(spec.source))

    def _with_defaults(self, source: JobSource) -> JobSource:
        if source.notebook not in (None, self.source.notebook):  # cell and kernel of the batch are of its own notebook
            return source
        return JobSource(
            notebook=self.source.notebook,
            cell=source.cell or self.source.cell,
            kernel=source.kernel or self.source.kernel,
        )


class ForkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST threads/fork``."""

    thread: Label
    name: Label  # of the new thread
    after: str | None = None  # id of the last job to copy; None: all completed turns


class RenameRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST threads/rename``."""

    thread: Label
    name: Label  # the new name


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST notices/read``."""

    ids: tuple[str, ...] | None = None
    all: bool = False
