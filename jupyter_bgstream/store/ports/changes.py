"""Port: the feed of commits."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from ..port_values import Change


class ChangeSource(Protocol):
    """Every commit of this store, made by this server or by another one."""

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        """Return an iterator over the changes of every commit from now on, in order. It ends when the store closes.

        A reader that falls behind gets the changes of one job merged into one, without event bytes; it then reads the
        log.
        """
