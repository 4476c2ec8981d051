"""LLM calls that go on in the background of Jupyter, after the cell, notebook, browser or kernel has closed.

>>> import jupyter_bgstream as bg

**Ask.** A job runs on the Jupyter server; the call returns at once, with a handle.

>>> job = bg.submit("Say hello.", model="demo/echo")
>>> job.result()  # waits for the whole answer; so does: await job
'...You said:...Say hello...'
>>> for piece in job:  # as it comes; async for does the same
...     print(piece, end="")
*This is the demo model...

``job.status``, ``job.text``, ``job.usage``, ``job.cost`` and ``job.error`` say how it stands now; ``job.wait()`` waits
for its end, whatever that is; ``job.cancel()``, ``job.retry()`` and ``job.delete()`` do what they say. In a notebook
``job`` shows the live answer, and ``job.view()`` is a widget. Without ``model`` it is the server's default;
``bg.models()`` shows what there is.

**Find again.** Jobs outlive the kernel. Another notebook, or a script, finds them:

>>> bg.job(job.id) == job
True
>>> bg.jobs(status="completed", limit=1)
id...state...model...prompt...
...completed...

**Converse.** Jobs of one thread know what was said before; the history is the server's, so that any notebook goes on.

>>> bg.submit("My name is Ada.", model="demo/echo", thread="names").wait().status
'completed'
>>> bg.submit("Who am I?", model="demo/echo", thread="names").result()
'...2 messages of history...'
>>> bg.thread("names").fork("other names").submit("And now?", model="demo/echo").result()
'...4 messages of history...'

``bg.threads()`` lists them; a ``Thread`` has ``jobs`` and ``messages``, and can be forked, renamed and deleted.

**Tables.** The same question for every row of a pandas or polars table, a list of dicts or anything else that can be
iterated over, as one batch that goes on without this kernel. Asked again it is the same batch, and nothing is paid for
twice.

>>> batch = bg.map([{"city": "Rome"}, {"city": "Oslo"}], "One word about {city}.", model="demo/echo")
>>> batch.wait().frame()[1]["city"], batch.counts["completed"]
('Oslo', 2)

**In cells.** After ``%load_ext jupyter_bgstream`` the rest of a cell that begins with ``%%bg`` is the prompt, and
``%bg`` lists and manages jobs. ``%bg help`` shows all of it.

**When something is wrong** it is a ``bg.BgStreamError``, whose one sentence says what to do:
``bg.IncompleteAnswerError`` (no whole answer), ``bg.QueueFullError``, ``bg.ServerNotFoundError``, …; ``dir(bg)`` has
them all.

>>> bg.submit("x", model="demo/nothing-like-it").result()
Traceback (most recent call last):
...
jupyter_bgstream.client.errors.Incomplete: The job ... failed: demo does not have the model 'nothing-like-it'...
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

_OF_TABLES = ("Batch", "Estimate", "batch", "map")  # loaded apart: most kernels never ask for a table

# Nothing heavy is imported here: a kernel loads this package for its client alone, a server for its server alone.


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        found = getattr(import_module(".client.batch" if name in _OF_TABLES else ".client", __name__), name)
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
        from .requirements import unmet_requirements

        if unmet := unmet_requirements():
            raise ImportError(" ".join(str(each) for each in unmet)) from error
        raise

    load(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    try:
        from .server.app import BgStreamApp
    except Exception as error:
        # Jupyter would go on without us, and every cell and panel would meet a 404.
        _failures.append(error)
        return [{"module": "jupyter_bgstream"}]
    return [{"module": "jupyter_bgstream", "app": BgStreamApp}]


_failures: list[Exception] = []  # of the import of the server's part


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from .server.failed_import import load

    load(serverapp, _failures[-1])


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-bgstream"}]
