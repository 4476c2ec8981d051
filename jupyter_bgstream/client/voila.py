"""Displays in Voilà, whose page draws the outputs of a notebook once; later only widgets change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

Bundle = dict[str, Any]  # display data or metadata, by MIME type

_COLUMNS = "repeat(auto-fit, minmax(min(260px, 100%), 1fr))"  # as many columns as fit


class View(Protocol):
    """Widget that an output can show."""

    def _repr_mimebundle_(self, **kwargs: Any) -> Any: ...


def in_voila() -> bool:
    """Return True if Voilà started this kernel, as a server or as an extension of a Jupyter server."""
    # The first is in the environment of every kernel, also of those that are started ahead of a visit.
    return "VOILA_PREHEAT" in os.environ or os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def mime_bundle(views: Sequence[View]) -> tuple[Bundle, Bundle]:
    """Return the display bundle of a widget, or of several side by side, and its metadata."""
    # One output for all: while cells run, Voilà loses outputs that follow each other at once.
    made = (views[0] if len(views) == 1 else _side_by_side(views))._repr_mimebundle_()
    return made if isinstance(made, tuple) else (made or {}, {})


def _side_by_side(views: Sequence[View]) -> Any:
    # It takes longer to import than all the rest.
    from ipywidgets import GridBox, Layout  # type: ignore[import-untyped]  # noqa: PLC0415

    return GridBox(views, layout=Layout(grid_template_columns=_COLUMNS, grid_gap="0 16px"))
