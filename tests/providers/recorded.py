"""Streams of services, one JSON payload a line: some of our own, and those recorded of real ones where they are."""

from __future__ import annotations

from pathlib import Path

OWN = Path(__file__).parent / "streams"
REAL = Path(__file__).parents[3] / "shared" / "recordings"  # not part of the repository


def streams(folder: str) -> dict[str, Path]:
    """Return the streams of a format by their names, those that end in an error aside."""
    found = [path for root in (OWN, REAL) for path in sorted((root / folder).glob("*.jsonl"))]
    return {path.stem: path for path in found if "error" not in path.name}
