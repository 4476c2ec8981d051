"""Isolation of foreign code: distinguishes requested from leaked cancellations, and contains program exits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


def is_cancelled() -> bool:
    """Return whether the current task, or a time-out around it, was cancelled on request."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def guarded() -> Iterator[None]:
    """Run foreign code that may only raise Exceptions, or the requested CancelledError.

    ``sys.exit()`` in a task would end the server, and a CancelledError that leaks from the code's own tasks would end
    the task without an error.
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
