"""What a batch looks like in a notebook file. See PROTOCOL.md, "In the notebook file".

Golden cases, shared with ``labextension/src/batch.ts``: ``tests/golden/batch.json``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..core.batches import EndCounts
from ..core.codec import BATCH_MIME
from ..core.pauses import Paused
from ..core.state import Status
from ..core.terminal_text import visible_line
from .citations import line_markdown, words_plain


def batch_bundle(
    group_id: str,
    status: Status,
    title: str,
    total: int,
    counts: EndCounts,
    *,
    paused: Paused | None = None,
    unended: str = "",
) -> dict[str, Any]:
    """Return the display bundle: the live view's key, and how far it was for whoever has no live view.

    ``unended`` is said of what has not ended, instead of its status.
    """
    words = batch_words(group_id, status, title, total, counts, paused=paused, unended=unended)
    key = {
        "id": group_id,
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
    group_id: str,
    status: Status,
    title: str,
    total: int,
    counts: EndCounts,
    *,
    paused: Paused | None = None,
    unended: str = "",
) -> str:
    """Say how far a batch is, on one line."""
    words = [f"{words_plain(title) or f'Batch {group_id}'}: {counts.completed:,} of {total:,} answered"]
    for end in ("failed", "interrupted", "cancelled"):
        if number := getattr(counts, end):
            words.append(f"{number:,} {end}")
    if paused is not None:
        words.append(f"paused: {words_plain(paused.message) or paused.code}")
    elif status in ("queued", "running"):
        words.append(unended or f"{status}…")
    return ", ".join(words)
