"""What goes into a notebook file never becomes raw HTML there, whatever the model wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from jupyter_bgstream.client.markdown import escape_html

CASES = json.loads((Path(__file__).parents[1] / "golden" / "escape.json").read_text())["cases"]

# Pieces of Markdown in which code begins and ends, and the HTML that must not come out.
PIECES = st.sampled_from(
    ["<x-bad>", "`", "``", "```", "~~~", "\n", "\n\n", " ", "    ", "a", "- ", "> ", "1. ", "\\", "|", "# ", "\t", "$"]
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden(case: dict[str, str]) -> None:
    assert escape_html(case["markdown"]) == case["escaped"]


def by_nbconvert(text: str) -> str:
    return str(MarkdownWithMath(renderer=IPythonRenderer(escape=False))(text))


def by_mistune(text: str) -> str:
    return str(mistune.create_markdown(escape=False)(text))


@given(st.lists(PIECES, max_size=24).map("".join))
def test_no_raw_html_comes_out_of_a_parser(markdown: str) -> None:
    for parser in (by_nbconvert, by_mistune):
        assert not re.search("<x-bad>", parser(escape_html(markdown)))


def test_the_check_would_see_raw_html() -> None:
    assert "<x-bad>" in by_nbconvert("a <x-bad> b")
    assert "<x-bad>" in by_mistune("a <x-bad> b")


@pytest.mark.parametrize(
    "piece", ["\\", "://", "](", "`", "``a`", "<https://", "[", "$", "``` ", "<", "  - ", "a\n```\n"]
)
def test_the_time_is_linear(piece: str) -> None:
    # Quadratic, each of these would take minutes and not the test's few milliseconds.
    assert escape_html(piece * 100_000)
