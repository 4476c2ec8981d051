"""Displays in a notebook that a program executes: papermill, nbclient, ``jupyter execute``, ``nbconvert --execute``.

No page reads logs there, and the program accepts a message only during the cell that the message belongs to. So
displays are not updated when text arrives, but at the end of every cell, as part of that cell. Then the file has
everything that the cell waited for. Nothing is sent after the last cell.
"""

from __future__ import annotations

import concurrent.futures
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..core.errors import BgStreamError
from .handle_types import DisplayContent, Stateful
from .job_source import current_shell
from .voila import in_voila

if TYPE_CHECKING:
    pass

NOT_WAITED_FOR = "Not waited for yet. To fill in the answer: jupyter bgstream fill FILE"
REST_NOT_WAITED_FOR = "not waited for yet; to fill in the rest: jupyter bgstream fill FILE"

_PATIENCE = 10.0  # seconds that requests to the server may delay the end of a cell


def is_executed() -> bool:
    """Return True if a program executes this cell: it allows no ``input()``, and started this kernel.

    A Jupyter server that runs the cells of its pages itself, such as jupyter-server-documents, allows no input either.
    """
    kernel = getattr(current_shell(), "kernel", None)
    if kernel is None or in_voila():
        return False
    content: dict[str, Any] = (kernel.get_parent() or {}).get("content", {})
    if content.get("allow_stdin") is not False:
        return False
    from .connect import is_server_kernel  # noqa: PLC0415 - httpx, which a kernel without jobs does not need

    return not is_server_kernel()


def show(content: DisplayContent) -> None:
    """Display content, and update the display at the end of every cell."""
    shell = current_shell()
    display = _Display(content, _captures(shell.display_pub))
    data, metadata = display.shown
    shell.display_pub.publish(data, metadata, transient=display.transient)
    _keep(shell, display)


def track(content: Stateful) -> None:
    """Save the state of a widget at the end of every cell."""
    _keep(current_shell(), _State(content))


class _Display:
    def __init__(self, content: DisplayContent, captured: bool) -> None:
        self.content = content
        self.transient = {"display_id": secrets.token_hex(16)}
        self.shown = content.data()
        self.captured = captured  # by %%capture, so that it may be shown later as it was

    def save(self, shell: Any) -> None:
        now = self.content.data()
        if now != self.shown or self.captured:
            self.shown = now
            shell.display_pub.publish(*now, transient=self.transient, update=True)


class _State:
    captured = False

    def __init__(self, content: Stateful) -> None:
        self.content = content

    def save(self, _: Any) -> None:
        self.content.save_state()


_open: list[_Display | _State] = []


def _keep(shell: Any, each: _Display | _State) -> None:
    _open.append(each)
    shell.events.register("post_run_cell", _save)  # registers once


def _save(_: object = None) -> None:
    """Update all displays that may have changed, as part of the cell that ends."""
    shell = current_shell()
    updates = {each.content._background.start(each.content.update): each for each in _open}
    done, late = concurrent.futures.wait(updates, timeout=_PATIENCE)
    for future in late:
        future.cancel()
    complete = {id(updates[future]) for future in done if _is_complete(future)}
    for each in updates.values():
        each.save(shell)
    _open[:] = [each for each in _open if each.captured or id(each) not in complete]


def _is_complete(update: concurrent.futures.Future[bool]) -> bool:
    # Without a response the display stays as it is; its note is still true.
    with suppress(BgStreamError, TimeoutError, concurrent.futures.CancelledError):
        return update.result()
    return False


def _captures(publisher: Any) -> bool:
    from IPython.core.displaypub import CapturingDisplayPublisher  # noqa: PLC0415 - a script needs no IPython

    return isinstance(publisher, CapturingDisplayPublisher)
