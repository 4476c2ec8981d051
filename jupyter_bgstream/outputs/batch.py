"""MIME bundle of a batch in a notebook file. See PROTOCOL.md, "In the notebook file".

Golden cases, shared with ``labextension/src/outputs/batchSummary.ts``: ``tests/golden/batch.json``.
"""

from typing import Any

import msgspec

from ..core.batch_pause import Paused
from ..core.batches import EndCounts
from ..core.codec import BATCH_MIME
from ..core.schemas.batches import BatchInfo
from ..core.state import Status
from ..core.terminal_text import visible_line
from .citations import line_markdown, words_plain


class BatchOutput(msgspec.Struct, frozen=True, kw_only=True):
    """State of a batch as an output shows it."""

    id: str
    status: Status
    title: str  # may be ""
    total: int  # rows
    counts: EndCounts
    paused: Paused | None = None


def batch_bundle(batch: BatchInfo | BatchOutput, *, unended: str = "") -> dict[str, Any]:
    """Return the display bundle of a batch: the key of the live view, and its progress for readers without a live view.

    Args:
        batch: state of the batch.
        unended: text instead of the status of a batch that has not ended.

    """
    words = batch_words(batch, unended=unended)
    key = {
        "id": batch.id,
        "status": batch.status,
        "title": batch.title,
        "total": batch.total,
        "counts": msgspec.structs.asdict(batch.counts),
    }
    return {
        BATCH_MIME: key if batch.paused is None else key | {"paused": msgspec.structs.asdict(batch.paused)},
        "text/markdown": line_markdown(words),
        "text/plain": visible_line(words),
    }


def batch_words(batch: BatchInfo | BatchOutput, *, unended: str = "") -> str:
    """Return the progress of a batch on one line; the arguments are those of ``batch_bundle``."""
    title = words_plain(batch.title) or f"Batch {batch.id}"
    words = [f"{title}: {batch.counts.completed:,} of {batch.total:,} answered"]
    for end in ("failed", "interrupted", "cancelled"):
        if number := getattr(batch.counts, end):
            words.append(f"{number:,} {end}")
    if batch.paused is not None:
        words.append(f"paused: {words_plain(batch.paused.message) or batch.paused.code}")
    elif batch.status in ("queued", "running"):
        words.append(unended or f"{batch.status}…")
    return ", ".join(words)
