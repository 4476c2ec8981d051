"""LLM calls that run in the background of Jupyter, also after the cell, notebook, browser or kernel has closed.

>>> import jupyter_bgstream as bg

**Submit.** A job runs on the Jupyter server; the call returns a handle at once.

>>> job = bg.submit("Say hello.", model="demo/echo")
>>> job.result()  # waits for the complete answer; so does: await job
'...You said:...Say hello...'
>>> for delta in job:  # live, from the beginning; async for works as well
...     print(delta, end="")
*This is the demo model...

``job.status``, ``job.text``, ``job.usage``, ``job.cost`` and ``job.error`` are the current state; ``job.done()`` tells
whether the job has ended and ``job.wait()`` waits for it. ``job.cancel()`` keeps the text so far, ``job.retry()``
returns a new job, and ``job.delete()`` removes all. In a notebook ``job`` shows the live answer, and ``job.view()`` is
a widget. Without ``model`` a job uses the server's default; ``bg.models()`` lists the models.

**Find.** Jobs outlive the kernel. Another notebook, or a script, finds them:

>>> bg.job(job.id) == job
True
>>> bg.jobs(status="completed", limit=1)
id...status...model...prompt...
...Done...

**Threads.** Jobs of one thread share a history, which is on the server, so that any notebook can continue it.

>>> bg.submit("My name is Ada.", model="demo/echo", thread="names").wait().status
'completed'
>>> bg.submit("Who am I?", model="demo/echo", thread="names").result()
'...2 messages of history...'
>>> bg.thread("names").fork("other names").submit("And now?", model="demo/echo").result()
'...4 messages of history...'

``bg.threads()`` lists them; a ``Thread`` has ``jobs`` and ``messages``, and can be forked, renamed and deleted.

**Batches.** The same question for every row of a pandas or polars table, a list of dicts or any other iterable, as one
batch that runs without this kernel. The same call again is the same batch, and nothing is paid for twice.

>>> batch = bg.map([{"city": "Rome"}, {"city": "Oslo"}], "One word about {city}.", model="demo/echo")
>>> batch.wait().to_frame()[1]["city"], batch.counts["completed"]
('Oslo', 2)

**Cells.** After ``%load_ext jupyter_bgstream`` a cell that begins with ``%%bg`` is a prompt, and ``%bg`` lists and
manages jobs. ``%bg help`` lists all options.

**Errors** are subclasses of ``bg.BgStreamError`` whose message says what to do: ``bg.IncompleteAnswerError`` (no
complete answer), ``bg.QueueFullError``, ``bg.ServerNotFoundError``, …; ``dir(bg)`` lists them.

>>> bg.submit("x", model="demo/nothing-like-it").result()
Traceback (most recent call last):
...
jupyter_bgstream.client.errors.IncompleteAnswerError: The job ... failed: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .client import (
        AnswerRestartedError,
        BatchPausedError,
        BgStreamError,
        Comparison,
        ConflictError,
        Costs,
        File,
        IncompleteAnswerError,
        InvalidRequestError,
        Job,
        Jobs,
        Models,
        MultipleServersError,
        NotFoundError,
        QueueFullError,
        ServerConnectionError,
        ServerNotFoundError,
        ServerUnreachableError,
        Thread,
        Threads,
        TooLargeError,
        UnavailableError,
        VersionMismatchError,
        costs,
        job,
        jobs,
        models,
        submit,
        thread,
        threads,
    )
    from .client.batch import Batch, Estimate, batch, map

__all__ = [
    "AnswerRestartedError",
    "Batch",
    "BatchPausedError",
    "BgStreamError",
    "Comparison",
    "ConflictError",
    "Costs",
    "Estimate",
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
    "batch",
    "costs",
    "job",
    "jobs",
    "map",
    "models",
    "submit",
    "thread",
    "threads",
]

_FORMER = {"Invalid": "InvalidRequestError"}  # the scripts of reported bugs catch it by this name
_OF_BATCHES = ("Batch", "Estimate", "batch", "map")  # imported separately: most kernels need no batches

# Imports are lazy: a kernel only needs the client, and a server only the server.


def __getattr__(name: str) -> Any:
    name = _FORMER.get(name, name)
    if name in __all__:
        from importlib import import_module

        found = getattr(import_module(".client.batch" if name in _OF_BATCHES else ".client", __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "load_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics: ``%load_ext jupyter_bgstream``."""
    try:
        from .client.magics import load
    except Exception as error:
        from .requirement_check import unmet_requirements

        if unmet := unmet_requirements():
            raise ImportError(" ".join(str(each) for each in unmet)) from error
        raise

    load(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    try:
        from .server.app import BgStreamApp
    except Exception as error:
        # Otherwise Jupyter would start without the extension, and every request would get a 404.
        _failures.append(error)
        return [{"module": "jupyter_bgstream"}]
    return [{"module": "jupyter_bgstream", "app": BgStreamApp}]


_failures: list[Exception] = []  # import errors of the server


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from .server.failed_import import load

    load(serverapp, _failures[-1])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-bgstream"}]
