"""Displays of jobs and batches, updated by the kernel where the front end does not read the log, as in VS Code.

In a kernel of a Jupyter server with this extension the page reads the log itself, so that a display is sent once. A
terminal gets no updates. Voilà gets widgets, because its page does not update displays. In a notebook that a program
executes, ``executed_notebooks`` updates displays.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ..core.errors import BgStreamError, UnavailableError
from .errors import ServerConnectionError
from .executed_notebooks import is_executed, show
from .handle_types import LiveContent
from .voila import in_voila, mime_bundle

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


_RECONNECT = 5.0  # seconds until a lost server is tried again

_running: set[Future[Any]] = set()


def publish(shell: InteractiveShell, content: LiveContent) -> None:
    """Display jobs or a batch, and update the display where the front end does not."""
    publisher = shell.display_pub
    if in_voila():
        publisher.publish(*mime_bundle(content.views()))
    elif is_executed():
        show(content)
    elif getattr(shell, "kernel", None) is None or has_live_frontend():
        publisher.publish(content.bundle())
    else:
        transient = {"display_id": secrets.token_hex(16)}
        publisher.publish(content.bundle(), transient=transient)

        def update() -> int:  # in another thread, because displays may have slow hooks
            now = content.bundle()
            publisher.publish(now, transient=transient, update=True)
            return sum(len(text) for text in now.values() if isinstance(text, str))

        keep(content._background.start(lambda api: content.relay(api, update)))


def keep(future: Future[Any]) -> None:
    """Keep a reference to a running task until it is done."""
    _running.add(future)
    future.add_done_callback(_running.discard)


def has_live_frontend() -> bool:
    """Return True if this process is a kernel of a Jupyter server whose pages read logs themselves."""
    from .connect import has_own_server  # noqa: PLC0415 - httpx, which a kernel that submits nothing never pays for

    # A program that a kernel of the server starts, such as papermill, inherits its environment.
    return not in_voila() and not is_executed() and has_own_server()


async def read_until_done(read: Callable[[], Awaitable[bool]]) -> None:
    """Call ``read`` until it returns True or the job was deleted, and wait for a lost server as long as needed."""
    while True:
        try:
            if await read():
                return
        except (ServerConnectionError, UnavailableError):
            await asyncio.sleep(_RECONNECT)
        except BgStreamError:
            return  # the job was deleted, or cannot be read: the display stays as it is
