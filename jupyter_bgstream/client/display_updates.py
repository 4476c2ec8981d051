"""Show jobs where the front end cannot: a display that the kernel brings up to date, as in VS Code.

In a kernel of a Jupyter server with this extension the page reads the log by itself, so that a display is sent once and
never touched again. In a terminal nothing is ever printed afterwards. A page of Voilà shows widgets instead, because it
does not bring displays up to date. Where a program executes the notebook, ``executed`` does it.
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
from .execution import JobsDisplay, is_executed, show
from .protocols import Bundle, JobHandle
from .voila import display, in_voila

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import Api

SPACING = 0.25  # seconds between two updates of a display, at least
BYTES_PER_SECOND = 100_000  # each update has all of the text: a long one comes less often
_AWAY = 5.0  # seconds until a server that stays away is looked for again

_lasting: set[Future[Any]] = set()


def publish(shell: InteractiveShell, jobs: Sequence[JobHandle], *, side_by_side: bool = False) -> None:
    """Display what is known of a job, or of several; keep the display up to date where nothing else would."""
    if in_voila():
        display(shell, *(job.view() for job in jobs))
        return
    if is_executed():
        show(JobsDisplay(jobs, side_by_side=side_by_side))
        return

    def make_bundle() -> Bundle:  # also in another thread
        shown = [job.snapshot() for job in jobs]
        return bundle_of_several(shown) if side_by_side else bundle(shown[0])

    if getattr(shell, "kernel", None) is None or page_reads():
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


def keep(relaying: Future[Any]) -> None:
    """Keep what relays from being collected as garbage until it is done."""
    _lasting.add(relaying)
    relaying.add_done_callback(_lasting.discard)


def page_reads() -> bool:
    """Whether this process is a kernel of a Jupyter server whose pages read logs themselves."""
    from .connect import has_own_server  # noqa: PLC0415 - httpx, which a kernel that submits nothing never pays for

    # What a kernel of the server has started, such as papermill, has its environment.
    return not in_voila() and not is_executed() and has_own_server()


async def _relay(api: Api, jobs: Sequence[JobHandle], update: Callable[[], int]) -> None:
    clock = asyncio.get_running_loop()
    following = {asyncio.create_task(_follow(api, job)) for job in jobs}
    seen: list[tuple[int, int]] = []
    try:
        while following:
            ended, following = await asyncio.wait(following, timeout=SPACING)
            now = [job._follower.position for job in jobs]
            if now != seen or ended:
                seen, began = now, clock.time()
                # Making the bundle may ask the server, which this loop does, and a display may have hooks.
                size = await asyncio.to_thread(update)
                spent = clock.time() - began
                await _any_end(following, max(0.0, size / BYTES_PER_SECOND - spent))
    finally:
        for task in following:
            task.cancel()


async def _any_end(following: set[asyncio.Task[None]], seconds: float) -> None:
    if following and seconds:
        await asyncio.wait(following, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _follow(api: Api, job: JobHandle) -> None:
    follower = job._follower

    async def read() -> bool:
        answer = await follower.beyond(api, follower.position)
        await job._load_images(api)  # before its end, after which the display is not brought up to date
        return answer.ended

    await steadily(read)


async def steadily(read: Callable[[], Awaitable[bool]]) -> None:
    """Read until it says that this is the end or that the job is gone, however long the server stays away."""
    while True:
        try:
            if await read():
                return
        except (ServerConnectionError, UnavailableError):
            await asyncio.sleep(_AWAY)
        except NotFoundError:
            return
        except BgStreamError:
            return  # a log that cannot be read: what is shown stays
