"""The client: what runs in a kernel, a script or a thread, and asks the server.

job = submit("Write a long story.", model="openai/gpt-5-mini")
for delta in job: print(delta, end="")
"""

from __future__ import annotations

from ..core.errors import BgStreamError, Conflict, Invalid, NotFound, QueueFull, TooLarge, Unavailable
from .costs import Costs
from .errors import (
    BatchPaused,
    ConnectionProblem,
    Incomplete,
    ServerNotFound,
    ServerUnreachable,
    SeveralServers,
    StartedOver,
    WrongVersion,
)
from .files import File
from .job_handle import Job
from .job_list import Comparison, Jobs
from .model_table import Models
from .session import costs, job, jobs, models, submit
from .threads import Thread, Threads, thread, threads

__all__ = [
    "BatchPaused",
    "BgStreamError",
    "Comparison",
    "Conflict",
    "ConnectionProblem",
    "Costs",
    "File",
    "Incomplete",
    "Invalid",
    "Job",
    "Jobs",
    "Models",
    "NotFound",
    "QueueFull",
    "ServerNotFound",
    "ServerUnreachable",
    "SeveralServers",
    "StartedOver",
    "Thread",
    "Threads",
    "TooLarge",
    "Unavailable",
    "WrongVersion",
    "costs",
    "job",
    "jobs",
    "models",
    "submit",
    "thread",
    "threads",
]
