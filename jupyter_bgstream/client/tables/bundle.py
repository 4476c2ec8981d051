"""What a batch looks like in a notebook file. See PROTOCOL.md, "In the notebook file".

Golden cases, shared with ``labextension/src/batch.ts``: ``tests/golden/batch.json``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.groups import Counts
from ...core.machine import Status
from ...core.wire import BATCH_MIME
from ..cited import line_markdown, words_plain


def batch_bundle(group_id: str, status: Status, title: str, total: int, counts: Counts) -> dict[str, Any]:
    """Return the display bundle: the live view's key, and how far it was for whoever has no live view."""
    words = batch_words(group_id, status, title, total, counts)
    return {
        BATCH_MIME: {
            "id": group_id,
            "status": status,
            "title": title,
            "total": total,
            "counts": msgspec.structs.asdict(counts),
        },
        "text/markdown": line_markdown(words),
        "text/plain": words,
    }


def batch_words(group_id: str, status: Status, title: str, total: int, counts: Counts) -> str:
    """Say how far a batch is, on one line."""
    words = [f"{words_plain(title) or f'Batch {group_id}'}: {counts.completed:,} of {total:,} answered"]
    for end in ("failed", "interrupted", "cancelled"):
        if number := getattr(counts, end):
            words.append(f"{number:,} {end}")
    if status in ("queued", "running"):
        words.append(f"{status}…")
    return ", ".join(words)
