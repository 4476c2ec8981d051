"""MIME bundle of a batch in a notebook file. See PROTOCOL.md, "In the notebook file".

Golden cases, shared with ``labextension/src/outputs/batchSummary.ts``: ``tests/golden/batch.json``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..core.batch_pause import Paused
from ..core.batches import EndCounts
from ..core.codec import BATCH_MIME
from ..core.state import Status
from ..core.terminal_text import visible_line
from .citations import line_markdown, words_plain


def batch_bundle(
    batch_id: str,
    status: Status,
    title: str,
    total: int,
    counts: EndCounts,
    *,
    paused: Paused | None = None,
    unended: str = "",
) -> dict[str, Any]:
    """Return the display bundle of a batch: the key of the live view, and its progress for readers without a live view.

    Args:
        batch_id: id of the batch.
        status: status of the batch.
        title: title of the batch; may be "".
        total: number of rows.
        counts: ended rows by status.
        paused: reason of the pause.
        unended: text instead of the status of a batch that has not ended.

    """
    words = batch_words(batch_id, status, title, total, counts, paused=paused, unended=unended)
    key = {
        "id": batch_id,
        "status": status,
        "title": title,
        "total": total,
        "counts": msgspec.structs.asdict(counts),
    }
    return {
        BATCH_MIME: key if paused is None else key | {"paused": msgspec.structs.asdict(paused)},
        "text/markdown": line_markdown(words),
        "text/plain": visible_line(words),
    }


def batch_words(
    batch_id: str,
    status: Status,
    title: str,
    total: int,
    counts: EndCounts,
    *,
    paused: Paused | None = None,
    unended: str = "",
) -> str:
    """Return the progress of a batch on one line; the arguments are those of ``batch_bundle``."""
    words = [f"{words_plain(title) or f'Batch {batch_id}'}: {counts.completed:,} of {total:,} answered"]
    for end in ("failed", "interrupted", "cancelled"):
        if number := getattr(counts, end):
            words.append(f"{number:,} {end}")
    if paused is not None:
        words.append(f"paused: {words_plain(paused.message) or paused.code}")
    elif status in ("queued", "running"):
        words.append(unended or f"{status}…")
    return ", ".join(words)
