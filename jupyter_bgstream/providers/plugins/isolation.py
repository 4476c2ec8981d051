"""Tells a cancel that was asked for from one that code of others lets out, and keeps what ends programs in bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


def is_cancelled() -> bool:
    """Return whether somebody has cancelled the current task, or a time-out around its work."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def guarded() -> Iterator[None]:
    """Call code of others within this: it raises Exceptions alone, or the cancel that was asked for.

    ``sys.exit()`` in a task would end the server, and a CancelledError that leaks from the code's own tasks would end
    the task without a word.
    """
    try:
        yield
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise RuntimeError("It cancelled itself.") from None
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"It raised {type(error).__name__}.") from error
