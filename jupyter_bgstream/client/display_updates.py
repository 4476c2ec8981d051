"""Displays of jobs, updated by the kernel where the front end does not read the log, as in VS Code.

In a kernel of a Jupyter server with this extension the page reads the log itself, so that a display is sent once. A
terminal gets no updates. Voilà gets widgets, because its page does not update displays. In a notebook that a program
executes, ``execution`` updates displays.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ..core.errors import BgStreamError, NotFoundError, UnavailableError
from ..outputs.mimebundle import bundle, bundle_of_several
from .errors import ServerConnectionError
from .executed_notebooks import JobsDisplay, is_executed, show
from .handle_types import Bundle, JobHandle
from .voila import display, in_voila

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import Api

SPACING = 0.25  # minimum seconds between two updates of a display
BYTES_PER_SECOND = 100_000  # each update has the whole text, so that a long text is sent less often
_RECONNECT = 5.0  # seconds until a lost server is tried again

_running: set[Future[Any]] = set()


def publish(shell: InteractiveShell, jobs: Sequence[JobHandle], *, side_by_side: bool = False) -> None:
    """Display one or several jobs, and update the display where the front end does not."""
    if in_voila():
        display(shell, *(job.view() for job in jobs))
        return
    if is_executed():
        show(JobsDisplay(jobs, side_by_side=side_by_side))
        return

    def make_bundle() -> Bundle:  # also called in another thread
        shown = [job.snapshot() for job in jobs]
        return bundle_of_several(shown) if side_by_side else bundle(shown[0])

    if getattr(shell, "kernel", None) is None or has_live_frontend():
        shell.display_pub.publish(make_bundle())
        return
    transient = {"display_id": secrets.token_hex(16)}
    first = make_bundle()
    shell.display_pub.publish(first, transient=transient)
    publisher = shell.display_pub

    def update() -> int:
        now = make_bundle()
        publisher.publish(now, transient=transient, update=True)
        return sum(len(text) for text in now.values() if isinstance(text, str))

    keep(jobs[0]._background.start(lambda api: _relay(api, jobs, update)))


def keep(future: Future[Any]) -> None:
    """Keep a reference to a running task until it is done."""
    _running.add(future)
    future.add_done_callback(_running.discard)


def has_live_frontend() -> bool:
    """Return True if this process is a kernel of a Jupyter server whose pages read logs themselves."""
    from .connect import has_own_server  # noqa: PLC0415 - httpx, which a kernel that submits nothing never pays for

    # A program that a kernel of the server starts, such as papermill, inherits its environment.
    return not in_voila() and not is_executed() and has_own_server()


async def _relay(api: Api, jobs: Sequence[JobHandle], update: Callable[[], int]) -> None:
    clock = asyncio.get_running_loop()
    followers = {asyncio.create_task(_follow(api, job)) for job in jobs}
    seen: list[tuple[int, int]] = []
    try:
        while followers:
            ended, followers = await asyncio.wait(followers, timeout=SPACING)
            now = [job._follower.position for job in jobs]
            if now != seen or ended:
                seen, began = now, clock.time()
                # In a thread: the bundle may need a request on this loop, and displays may have slow hooks.
                size = await asyncio.to_thread(update)
                spent = clock.time() - began
                await _any_end(followers, max(0.0, size / BYTES_PER_SECOND - spent))
    finally:
        for task in followers:
            task.cancel()


async def _any_end(followers: set[asyncio.Task[None]], seconds: float) -> None:
    if followers and seconds:
        await asyncio.wait(followers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _follow(api: Api, job: JobHandle) -> None:
    follower = job._follower

    async def read() -> bool:
        answer = await follower.wait_after(api, follower.position)
        await job._load_images(api)  # before the end, after which the display is not updated
        return answer.ended

    await read_until_done(read)


async def read_until_done(read: Callable[[], Awaitable[bool]]) -> None:
    """Call ``read`` until it returns True or the job was deleted, and wait for a lost server as long as needed."""
    while True:
        try:
            if await read():
                return
        except (ServerConnectionError, UnavailableError):
            await asyncio.sleep(_RECONNECT)
        except NotFoundError:
            return
        except BgStreamError:
            return  # the log cannot be read: the display stays as it is
