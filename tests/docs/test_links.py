"""Relative links of all pages lead to files and headings that exist; Sphinx checks only those inside ``docs``."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest
from docs.blocks import FENCE, GENERATED, ROOT, pages

PAGES = pages()
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and MyST give to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\((.+)\)=$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    broken = []
    for target, anchor in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", PAGES[page]))):
        path = (ROOT / page).parent / target if target else ROOT / page
        name = PurePosixPath(Path(path).resolve().relative_to(ROOT.resolve())).as_posix()
        if name in GENERATED:
            continue
        if not path.is_file() or (anchor and path.suffix == ".md" and anchor not in anchors(path.read_text())):
            broken.append(f"{name}#{anchor}")
    assert broken == []


ROOTS = ("", "jupyter_bgstream", "jupyter_bgstream/providers", "labextension/src", "labextension/test")
NAMED = re.compile(r"`([\w-]+/[\w./-]+\.(?:py|ts|json|sh|sql|yml))(?:::\w+)?`")


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    named = set(NAMED.findall(FENCE.sub("", PAGES[page])))
    assert [name for name in named if not any((ROOT / root / name).exists() for root in ROOTS)] == []
