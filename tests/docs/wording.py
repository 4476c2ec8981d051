"""Count words of the private idiom in code, comments, tests and documentation, file by file.

Run it to write the allowances anew after a text became plainer: ``python tests/docs/wording.py``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALLOWANCES = Path(__file__).with_name("wording_allowed.json")

# What to write instead. Names count like prose: an underscore ends a word.
INSTEAD = {
    "who": "the noun: user, caller, owner, viewer, follower",
    "whom": "the noun: user, caller, owner, viewer, follower",
    "whoever": "the noun: user, caller, owner, viewer, follower",
    "whatever": "any, every, or the noun",
    "nobody": "no + the noun",
    "nobody's": "no + the noun",
    "somebody": "a user, a caller",
    "anybody": "any user, any caller",
    "everybody": "every user, all users",
    "said": "reported, logged, sent, received",
    "told": "notified, informed",
    "meant": "intended, requested",
    "kin": "the names of the exceptions",
    "aside": "in a thread, in the background, separately",
    "errand": "request, task",
    "errands": "requests, tasks",
    "for ever": "forever, without limit",
    "goes on": "continues",
    "go on": "continue",
    "going on": "continuing, running",
    "went on": "continued",
    "in words": "with a message",
    "is none": "does not exist, is missing",
    "are none": "do not exist, are missing",
    "what becomes of": "the result, the policy",
    "what became of": "the result",
    "need not be": "does not have to be, or a plain statement",
    "picture": "image",
    "pictures": "images",
}
PATTERN = re.compile(
    r"(?<![A-Za-z])(?!(?-i:(?:is|are)\s+None))(?:"  # Python's None
    + "|".join(sorted(INSTEAD, key=len, reverse=True)).replace(" ", r"\s+")
    + r")(?![A-Za-z'])",
    re.IGNORECASE,
)

TEXTS = (
    "*.md",
    "docs/**/*.md",
    "docs/**/*.py",
    "notebooks/*.ipynb",
    "jupyter_bgstream/**/*.py",
    "jupyter_bgstream/**/*.sql",
    "labextension/src/**/*.ts",
    "labextension/test/**/*.ts",
    "labextension/schema/*.json",
    "labextension/style/*.css",
    "benchmarks/*.py",
    "tests/**/*.py",
    "tests/**/*.sh",
    ".github/**/*.md",
    ".github/**/*.yml",
)
DATA = re.compile(  # stories of the demo model, pasted prompts, attacks; and this list
    r"jupyter_bgstream/(notebooks|labextension|client/static)/|.*/demo_texts\.py|tests/client/pasted/"
    r"|tests/browser/hostile/|tests/docs/(wording|test_wording|test_commits)\.py"
)


def texts() -> Iterator[tuple[str, str]]:
    """Yield the path and the content of each file that the list holds for."""
    for path in sorted({path for each in TEXTS for path in ROOT.glob(each)}):
        name = path.relative_to(ROOT).as_posix()
        if not DATA.match(name):
            yield name, path.read_text(encoding="utf-8")


def found(text: str) -> list[tuple[int, str]]:
    """Return the line number and the word of each match."""
    return [(text.count("\n", 0, match.start()) + 1, match[0]) for match in PATTERN.finditer(text)]


def instead(word: str) -> str:
    """Return what to write instead of a word that was found."""
    return INSTEAD[" ".join(word.lower().split())]


def counts() -> dict[str, int]:
    """Return the number of matches of each file that has any."""
    return {name: number for name, text in texts() if (number := len(found(text)))}


def allowances() -> dict[str, int]:
    """Return the number of matches that each file may have; other files may have none."""
    allowed: dict[str, int] = json.loads(ALLOWANCES.read_text(encoding="utf-8"))
    return allowed


def main() -> None:
    """Write the allowances, unless that raised their sum."""
    now = counts()
    before = allowances() if ALLOWANCES.exists() else now
    if sum(now.values()) > sum(before.values()):
        risen = [f"{name}: {before.get(name, 0)} -> {n}" for name, n in now.items() if n > before.get(name, 0)]
        sys.exit("\n".join(["The sum may not rise. Reword these files:", *risen]))
    ALLOWANCES.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{sum(before.values())} -> {sum(now.values())} matches in {len(now)} files.\n")


if __name__ == "__main__":
    main()
