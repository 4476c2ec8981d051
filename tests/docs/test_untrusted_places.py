"""Every file that shows untrusted text is listed in ``docs/explanation/untrusted-text.md``, with its protection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Code that brings text into a page: as HTML, as a line of text, through Lab, as an address to go to.
IN_PAGES = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|DOMParser|createContextualFragment|document\.write|srcdoc"
    r"|render(Markdown|HTML)\(|\b(TextPane|Disclosure|PlainText)\("
    r"|Notification\.|[sS]howDialog\(|InputDialog\.|showErrorMessage|title\.(label|caption)"
    r"|\.href = |window\.open|setText\(|\.textContent = |element\('\w+', '\w+', (?!'|trans\.__\()"
)
IN_KERNELS = re.compile(r"text/(html|markdown)|_repr_(html|markdown|mimebundle)_|\bHTML\(")


def sources() -> dict[str, Path]:
    """Return every file that brings text into a page, by its name in the list."""
    folder, package = ROOT / "labextension/src", ROOT / "jupyter_bgstream"
    pages = {str(path.relative_to(folder)): path for path in folder.rglob("*.ts") if IN_PAGES.search(path.read_text())}
    kernels = {
        str(path.relative_to(package)): path
        for path in package.rglob("*.py")
        if package / "testing" not in path.parents and IN_KERNELS.search(path.read_text())
    }
    return pages | kernels


def places() -> dict[str, dict[str, str]]:
    """Return the fields of each place by its heading: files, author, protection and tests."""
    page = (ROOT / "docs/explanation/untrusted-text.md").read_text()
    titles = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return {
        title: dict(re.findall(r"^- (Files|Author|Protection|Tests): (.+?)(?=\n- |\n\n|\Z)", text, re.M | re.S))
        for title, text in zip(titles[::2], titles[1::2], strict=True)
    }


def named(field: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", field))


def test_every_file_that_shows_text_is_listed() -> None:
    listed = set().union(*(named(place["Files"]) for place in places().values()))
    assert listed == set(sources())


@pytest.mark.parametrize("place", places().values(), ids=places().keys())
def test_every_place_has_a_test(place: dict[str, str]) -> None:
    assert set(place) == {"Files", "Author", "Protection", "Tests"}
    tests = named(place["Tests"])
    assert tests
    for name in tests:
        path, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists()
