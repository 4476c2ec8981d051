"""Preprocessor for nbconvert: update the answers in the converted notebook; the file does not change.

``jupyter nbconvert --to html --Exporter.preprocessors=jupyter_bgstream.nbconvert.Fill NOTEBOOK``
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nbconvert.preprocessors import Preprocessor
from traitlets import Float

from .cli.fill.lookup import opened
from .cli.fill.outputs import Known, job_outputs, refreshed, write
from .core.errors import BgStreamError
from .core.terminal_text import visible_line

__all__ = ["Fill"]


class Fill(Preprocessor):
    """Updates the outputs of jobs and batches."""

    wait = Float(0.0, min=0.0, help="Seconds to wait for running jobs.").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Fill a notebook; answers that cannot be read cause a warning and keep their saved text."""
        outputs = list(job_outputs(nb))
        if not outputs:
            return nb, resources
        try:
            with ThreadPoolExecutor(1) as thread:  # this thread may have a running loop
                known = thread.submit(asyncio.run, self._known(outputs)).result()
        except BgStreamError as error:
            self.log.warning("Answers are shown as they were saved: %s", error)
            return nb, resources
        for data in outputs:
            if fresh := refreshed(data, known):
                write(data, fresh, lines=False)
        if known.unfinished:
            self.log.warning("Still running, shown as far as they are: %s", _listed(known.unfinished))
        if known.unknown:
            self.log.warning("Not found, shown as they were saved: %s", _listed(known.unknown))
        return nb, resources

    async def _known(self, outputs: list[dict[str, Any]]) -> Known:
        async with opened(None) as lookup:
            if self.wait:
                await lookup.wait(outputs, self.wait)
            return await lookup.look(outputs)


def _listed(ids: set[str]) -> str:
    return visible_line(", ".join(sorted(ids)))
