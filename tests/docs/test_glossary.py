"""The glossary: every noun of the vocabulary once, and the display labels as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

from jupyter_bgstream.client import status_labels

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/glossary.md").read_text()
WORDS = [
    "job",
    "attempt",
    "event",
    "delta",
    "cursor",
    "follower",
    "viewer",
    "owner",
    "provider",
    "model",
    "prompt",
    "message",
    "thread",
    "batch",
    "entry",
    "notice",
    "inbox",
    "source",
    "citation",
    "usage",
    "cost",
    "status",
    "completed",
    "cancelled",
    "failed",
    "interrupted",
    "paused",
    "lease",
    "fence",
    "store",
    "server",
    "worker",
    "pool",
    "image",
]
ROW = re.compile(r"^\| \*([^*]+)\* \| (?:`(\w+)`|any) \|(.*)\|$", re.MULTILINE)


def displayed() -> dict[tuple[str, str | None], str]:
    """Return the labels of the table by status and finish reason."""
    found: dict[tuple[str, str | None], str] = {}
    for label, status, condition in ROW.findall(PAGE):
        for reason in re.findall(r"`(\w+)`", condition) or [None]:
            found[status, reason] = label
    return found


def test_every_word_is_defined_once() -> None:
    defined = [
        word
        for entries in re.findall(r"```\{glossary\}\n(.*?)```", PAGE, re.DOTALL)
        for word in re.findall(r"^(\w+)$", entries, re.MULTILINE)
    ]
    assert sorted(defined) == sorted(WORDS)


def test_python_has_the_labels_of_the_table() -> None:
    of_jobs = {status: label for status, label in status_labels._LABELS.items() if status != "new"}
    of_reasons = {("completed", reason): label for reason, label in status_labels._FINISH_LABELS.items()}
    assert displayed() == {(status, None): label for status, label in of_jobs.items()} | of_reasons | {
        ("", None): status_labels.PAUSED
    }


def test_typescript_has_the_labels_of_the_table() -> None:
    source = (ROOT / "labextension/src/views/jobLabels.ts").read_text()
    table = re.search(r"LABELS: Record<Label, .*?= \{(.*?)\};", source, re.DOTALL)
    assert table is not None
    written = dict(re.findall(r"(\w+): \(\) => trans\.__\('([^']+)'\)", table[1]))
    assert written.pop("missing") == "Not found"  # a view without a job
    reasons = re.search(r"FINISH_LABELS: Record<.*?= \{(.*?)\};", source, re.DOTALL)
    assert reasons is not None
    states = re.findall(r"(\w+): '(\w+)'", reasons[1])
    labels_of = {("completed", reason): written[state] for reason, state in states}
    for state in {state for _, state in states}:
        del written[state]
    status = {"done": "completed", "paused": ""}
    assert displayed() == labels_of | {(status.get(state, state), None): label for state, label in written.items()}
