"""The security page: each promise names a test, and each test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/security.md").read_text()
TESTS = [*(ROOT / "tests").rglob("test_*.py")]


def test_every_named_test_exists() -> None:
    functions = {name for path in TESTS for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= functions
    for name in re.findall(r"`([\w/.]+\.(?:py|ts))`", PAGE):
        assert (ROOT / name).exists() or (ROOT / "labextension" / "test" / name).exists(), name


def test_every_promise_names_a_test() -> None:
    lists = re.findall(r"^### Promises\n\n((?:[- ] ?.*\n)+)", PAGE, re.MULTILINE)
    promises = [promise for each in lists for promise in re.split(r"^- ", each, flags=re.MULTILINE)[1:]]
    assert len(promises) > 25
    for promise in promises:
        assert re.search(r"\n  Tests: `(?:test_\w+|[\w/.]*test[\w/.]*\.(?:py|ts))`", promise), promise
