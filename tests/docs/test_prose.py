"""The form of the pages: one sentence a line, and narrow tables."""

from __future__ import annotations

import re

import pytest
from docs.blocks import FENCE, pages

COLUMNS = 3
LONGEST = 160  # characters of a cell
PAGES = pages()
CODE = re.compile(r"`+[^`]+`+|\]\([^)\s]*\)")
# A sentence ends before a space and a letter, digit, code, emphasis or a link; a bold heading of an item does not.
END = re.compile(r"[^.*\s(][.!?][\"”')]* +(?=[\w`*\[“])")


def prose(text: str) -> list[str]:
    """Return the lines of paragraphs and lists, with code replaced."""
    text = FENCE.sub("", text)
    lines = [CODE.sub(lambda match: "code" if match[0].startswith("`") else "]()", line) for line in text.splitlines()]
    lines = [re.sub(r"^\s*\d+\. ", "", line) for line in lines]
    return [line for line in lines if not re.match(r"\s*([#|>]|<|\(.*\)=$)", line)]


@pytest.mark.parametrize("page", PAGES)
def test_tables_have_few_columns(page: str) -> None:
    rows = re.findall(r"^ *\|(?:[-: ]+\|)+$", PAGES[page], re.MULTILINE)
    assert [row for row in rows if row.strip().count("|") - 1 > COLUMNS] == []


@pytest.mark.parametrize("page", PAGES)
def test_cells_of_tables_are_short(page: str) -> None:
    rows = re.findall(r"^ *\|(.*)\|$", PAGES[page], re.MULTILINE)
    assert [cell for row in rows for cell in row.split(" | ") if len(cell) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES)
def test_line_has_one_sentence(page: str) -> None:
    found = [line for line in prose(PAGES[page]) if END.search(re.sub(r"\([^()]*\)", "()", line))]
    assert found == []
