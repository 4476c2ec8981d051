"""Code blocks of the documentation: where they are, their language, and why one is not run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- not run: (?P<reason>[^>]+?) -->\n+ *)?```(?P<language>[^\n]*)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
GENERATED = {"docs/reference/commands.md", "docs/reference/rest.md"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    code: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_config(self) -> bool:
        """Whether this is a part of a config file: it sets attributes of ``c``."""
        return self.language == "python" and re.search(r"^c\.", self.code, re.MULTILINE) is not None


def pages() -> dict[str, str]:
    """Return the text of every page by its path."""
    paths = [ROOT / name for name in ("README.md", "PROTOCOL.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    paths += sorted((ROOT / "docs").rglob("*.md"))
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return {page: text for page, text in texts.items() if page not in GENERATED}


def blocks() -> Iterator[Block]:
    """Yield every fenced block, except the directives of Sphinx."""
    for page, text in pages().items():
        for match in FENCE.finditer(text):
            if not match["language"].startswith("{"):
                line = text.count("\n", 0, match.start("language")) + 1
                yield Block(page, line, match["language"], textwrap.dedent(match["code"]), match["reason"])
