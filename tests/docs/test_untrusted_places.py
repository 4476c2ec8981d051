"""Every file that shows untrusted text is listed in ``docs/explanation/architecture.md``, with its protection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADING = "## Where untrusted text appears"

# Whatever brings words into a page: as HTML, as a line of text, through Lab, as an address to go to.
IN_PAGES = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|DOMParser|createContextualFragment|document\.write|srcdoc"
    r"|render(Markdown|HTML)\(|\b(TextPane|Disclosure|PlainText)\("
    r"|Notification\.|[sS]howDialog\(|InputDialog\.|showErrorMessage|title\.(label|caption)"
    r"|\.href = |window\.open|setText\(|\.textContent = |element\('\w+', '\w+', (?!'|trans\.__\()"
)
IN_KERNELS = re.compile(r"text/(html|markdown)|_repr_(html|markdown|mimebundle)_|\bHTML\(")


def sources() -> dict[str, Path]:
    """Return every file that brings words into a page, by the name that the list has for it."""
    folder, package = ROOT / "labextension/src", ROOT / "jupyter_bgstream"
    pages = {str(path.relative_to(folder)): path for path in folder.rglob("*.ts") if IN_PAGES.search(path.read_text())}
    kernels = {
        str(path.relative_to(package)): path
        for path in package.rglob("*.py")
        if package / "testing" not in path.parents and IN_KERNELS.search(path.read_text())
    }
    return pages | kernels


def rows() -> list[list[str]]:
    """Return the cells of the list: places, files, who wrote it, what makes it harmless, tests."""
    section = (ROOT / "docs/explanation/architecture.md").read_text().split(HEADING)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_file_that_shows_words_is_on_the_list() -> None:
    listed = set().union(*(named(files) for _, files, *_ in rows()))
    assert listed == set(sources())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_place_has_a_test(row: list[str]) -> None:
    assert len(row) == 5
    tests = named(row[-1])
    assert tests
    for name in tests:
        path, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists()
