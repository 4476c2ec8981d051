"""Client for kernels and scripts: handles of jobs, batches and threads.

job = submit("Write a long story.", model="openai/gpt-5-mini")
for delta in job: print(delta, end="")
"""

from ..core.errors import (
    BgStreamError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    TooLargeError,
    UnavailableError,
)
from .costs import Costs
from .errors import (
    AnswerRestartedError,
    BatchPausedError,
    IncompleteAnswerError,
    MultipleServersError,
    ServerConnectionError,
    ServerNotFoundError,
    ServerUnreachableError,
    VersionMismatchError,
)
from .file_inputs import File
from .job_handle import Job
from .job_list import Comparison, Jobs
from .jobs_api import costs, job, jobs, models, submit
from .model_table import Models
from .threads import Thread, Threads, thread, threads

__all__ = [
    "AnswerRestartedError",
    "BatchPausedError",
    "BgStreamError",
    "Comparison",
    "ConflictError",
    "Costs",
    "File",
    "IncompleteAnswerError",
    "InvalidRequestError",
    "Job",
    "Jobs",
    "Models",
    "MultipleServersError",
    "NotFoundError",
    "QueueFullError",
    "ServerConnectionError",
    "ServerNotFoundError",
    "ServerUnreachableError",
    "Thread",
    "Threads",
    "TooLargeError",
    "UnavailableError",
    "VersionMismatchError",
    "costs",
    "job",
    "jobs",
    "models",
    "submit",
    "thread",
    "threads",
]
