"""Protocols of handles and displays: what displays and widgets need, without importing the handles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..core.schemas.batches import BatchInfo
    from ..core.schemas.jobs import JobInfo
    from ..outputs.mimebundle import OutputSnapshot
    from .background_loop import Background
    from .follower import Follower
    from .rest_client import Api
    from .voila import View

Bundle = dict[str, Any]  # display data or metadata, by MIME type


class Trackable(Protocol):
    """Display content, or other state in a notebook file, that one job or batch updates."""

    @property
    def _background(self) -> Background[Api]: ...

    async def update(self, api: Api) -> bool:
        """Read what is new, on the background loop.

        Returns:
            True if nothing more is expected.

        """


class DisplayContent(Trackable, Protocol):
    """Content of a display."""

    def data(self) -> tuple[Bundle, Bundle]:
        """Return the data and metadata in a notebook that a program executes, without asking the server."""


class LiveContent(DisplayContent, Protocol):
    """Content of a display that the kernel can update while it grows."""

    def bundle(self) -> Bundle:
        """Return the display bundle of what is known, without asking the server."""

    def views(self) -> Sequence[View]:
        """Return live widgets."""

    async def relay(self, api: Api, update: Callable[[], int]) -> None:
        """Read until the end; call ``update``, which returns the number of sent characters, after changes."""


class Stateful(Trackable, Protocol):
    """Widget that stores a state in the notebook file."""

    def save_state(self) -> None:
        """Send the whole state, in the thread of the cell."""


class JobHandle(Protocol):
    """Handle of a job, as displays and widgets use it."""

    @property
    def id(self) -> str: ...
    @property
    def info(self) -> JobInfo: ...
    @property
    def _background(self) -> Background[Api]: ...
    @property
    def _follower(self) -> Follower: ...

    def view(self) -> View:
        """Return a live widget of the job."""

    def placeholder(self) -> Bundle:
        """Return the display bundle of what is known, without asking the server."""

    def snapshot(self, *, fresh: bool = False) -> OutputSnapshot:
        """Return what a display shows; with ``fresh`` the server is asked first."""

    async def _load_images(self, api: Api) -> None:
        """Read the image files that an output can embed."""

    async def _newest(self, api: Api) -> JobHandle:
        """Return the newest retry of the job, or the job itself; its log has been read."""


class BatchHandle(Protocol):
    """Handle of a batch, as displays and widgets use it."""

    @property
    def id(self) -> str: ...
    @property
    def info(self) -> BatchInfo: ...
    @property
    def _background(self) -> Background[Api]: ...

    def view(self) -> View:
        """Return a live widget of the batch."""

    def placeholder(self, *, unended: str = "") -> Bundle:
        """Return the display bundle of what is known, without asking the server."""

    def _display_content(self) -> DisplayContent:
        """Return the content of a display."""

    async def _refresh(self, api: Api) -> BatchInfo:
        """Read the batch's current state from the server."""
