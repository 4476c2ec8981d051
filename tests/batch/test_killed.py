"""A batch of 1,000 rows whose kernel and server are killed: every row is answered once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch.killed import run_and_kill

ROWS = 1000  # benchmarks/map.py has 10,000
RUNNING = 15


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_every_row_is_answered_once_after_kill(tmp_path: Path) -> None:
    figures = run_and_kill(tmp_path, rows=ROWS, concurrency=RUNNING)
    assert ROWS * 0.3 < figures.answered_at_kill < ROWS
    assert figures.requests == ROWS + figures.asked_twice
    assert figures.asked_twice <= RUNNING  # those that were under way
    assert figures.notices == 1
