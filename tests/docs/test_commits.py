"""Subjects of commits since this file was added: short and imperative, one change each."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 72  # characters

# What cannot begin an imperative sentence although its ending does not show that.
NOT_VERB = re.compile(
    r"an?|the|this|that|these|those|its?|all|any|both|each|every|no|some|several|one|two|there"
    r"|what|when|where|which|who|why|how|if|as|at|by|for|from|in|of|on|to|with|and|or|but|not|also|now|only|wip"
)
# Verbs that look like a participle or a third person.
VERB = re.compile(r"bias|bring|embed|exceed|feed|focus|need|ping|proceed|seed|shed|speed|string")

# A published commit keeps its subject: list one here only after it has reached the main branch.
PUBLISHED: frozenset[str] = frozenset()


def fault(subject: str) -> str | None:
    """Return what is wrong with a subject, None if nothing is."""
    first = re.match(r"\S*", subject)[0]  # type: ignore[index]
    word = first.lower()
    if len(subject) > LONGEST:
        return f"has {len(subject)} characters, not at most {LONGEST}"
    if subject.endswith("."):
        return "ends with a period"
    if not re.fullmatch(r"[A-Z][A-Za-z-]*", first):
        return "does not begin with a capitalized word"
    if NOT_VERB.fullmatch(word) or (re.search(r"(?:ed|ing|[^s]s)$", word) and not VERB.fullmatch(word)):
        return "does not begin with an imperative verb"
    return None


def git(*arguments: str) -> str:
    """Return the output of git, an empty string where there is no git or no repository."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def subjects() -> list[str]:
    """Return the subjects to check; none in a shallow clone, which does not know where they begin."""
    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        return []
    path = Path(__file__).relative_to(ROOT).as_posix()
    added = git("log", "--diff-filter=A", "--format=%H", "--", path).split()
    if not added:
        return []
    log = git("log", "--no-merges", "--format=%an%x00%s", f"{added[-1]}..HEAD")
    entries = [line.split("\0") for line in log.splitlines()]
    return [subject for author, subject in entries if not author.endswith("[bot]") and subject not in PUBLISHED]


@pytest.mark.parametrize(
    "subject",
    [
        "Drop links without a host in sanitized answers",
        "Pass the fence to the store",
        "Re-read the log after a reset",
        "Speed up the listing of 10,000 jobs",
    ],
)
def test_imperative_subject_is_accepted(subject: str) -> None:
    assert fault(subject) is None


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("A link without a site is one of this server, and is none", "imperative"),
        ("Added a table", "imperative"),
        ("Adding a table", "imperative"),
        ("Adds a table", "imperative"),
        ("WIP: recovered work", "capitalized"),
        ("fix the table", "capitalized"),
        ("Add a table.", "period"),
        ("Add " + "a" * 69, "73 characters"),
        ("", "capitalized"),
    ],
)
def test_other_subject_is_refused_with_the_reason(subject: str, reason: str) -> None:
    assert reason in (fault(subject) or "")


def test_subjects_of_commits_are_short_and_imperative() -> None:
    assert {subject: reason for subject in subjects() if (reason := fault(subject))} == {}
