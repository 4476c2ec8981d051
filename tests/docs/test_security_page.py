"""The security page: each promise names a test, and each test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
TESTS = [*(ROOT / "tests").rglob("test_*.py")]


def test_every_test_that_the_page_names_exists() -> None:
    functions = {name for path in TESTS for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= functions
    for name in re.findall(r"`([\w/.]+\.(?:py|ts))`", PAGE):
        assert (ROOT / name).exists() or (ROOT / "labextension" / "test" / name).exists(), name


def test_every_promise_names_a_test() -> None:
    rows = [
        row for table in re.findall(r"\n\| promise \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE) for row in table.splitlines()
    ]
    assert len(rows) > 12
    for row in rows:
        assert re.search(r"`(?:test_\w+|[\w/.]*test[\w/.]*\.(?:py|ts))`", row.split("|")[-2]), row
