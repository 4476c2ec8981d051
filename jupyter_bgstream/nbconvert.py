"""For nbconvert: brings the answers in what is converted up to date; the notebook's file stays as it is.

``jupyter nbconvert --to html --Exporter.preprocessors=jupyter_bgstream.nbconvert.Fill NOTEBOOK``
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nbconvert.preprocessors import Preprocessor
from traitlets import Float

from .cli.fill.lookup import opened
from .cli.fill.outputs import Known, places, refreshed, write
from .core.errors import BgStreamError
from .core.terminal_text import visible_line

__all__ = ["Fill"]


class Fill(Preprocessor):
    """Writes what was answered since into the outputs of jobs and batches."""

    wait = Float(0.0, min=0.0, help="Seconds to wait for answers that still run.").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Fill a notebook; what cannot be had is a warning, and keeps its saved text."""
        outputs = list(places(nb))
        if not outputs:
            return nb, resources
        try:
            with ThreadPoolExecutor(1) as thread:  # a loop may be running in this one
                known = thread.submit(asyncio.run, self._known(outputs)).result()
        except BgStreamError as error:
            self.log.warning("Answers are shown as they were saved. %s", error)
            return nb, resources
        for data in outputs:
            if fresh := refreshed(data, known):
                write(data, fresh, lines=False)
        if known.unfinished:
            self.log.warning("Still running, and shown as far as they are: %s", _listed(known.unfinished))
        if known.unknown:
            self.log.warning("Unknown here, and shown as they were saved: %s", _listed(known.unknown))
        return nb, resources

    async def _known(self, outputs: list[dict[str, Any]]) -> Known:
        async with opened(None) as lookup:
            if self.wait:
                await lookup.wait(outputs, self.wait)
            return await lookup.look(outputs)


def _listed(ids: set[str]) -> str:
    return visible_line(", ".join(sorted(ids)))
