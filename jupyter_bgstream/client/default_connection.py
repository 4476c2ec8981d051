"""Default connection of this process: one background loop and one API client, both created at the first request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .background_loop import Background

if TYPE_CHECKING:
    from .rest_client import Api


def _open_api() -> Api:
    # httpx takes longer to import than all the rest; a kernel that submits nothing never pays for it.
    from .rest_client import Api  # noqa: PLC0415

    return Api()


default_background: Background[Api] = Background(_open_api)
