"""Formulas and prices in the Markdown of an answer."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from jupyter_bgstream.outputs.escape_markdown import escape_html
from jupyter_bgstream.outputs.formulas import with_formulas

CASES = json.loads((Path(__file__).parents[1] / "golden" / "formulas.json").read_text("utf-8"))["cases"]

PIECES = [
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\\$",
    "\\",
    "`",
    "``",
    "```",
    "~~~",
    "-",
    ">",
    "x",
    "5",
    "|",
    "<",
    "](",
]
OTHERS = ["](", " ", "\n", "\n\n", "    ", "- ", "> ", "\n|-|-|\n", "\r", "<span>&#36;</span>", "https://a.b/", "é"]

texts = st.lists(st.sampled_from([*PIECES, *OTHERS]), max_size=30).map("".join)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_markdown_is_the_same_as_in_typescript(case):
    assert with_formulas(case["text"]) == case["markdown"]
    assert with_formulas(case["markdown"]) == case["markdown"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_escaping_keeps_dollar_spans(case):
    saved = escape_html(case["markdown"])
    # Text that may be maths has a space in each tag.
    span = "< span>&#36;< /span>" if case["name"] == "a dollar in it" else "<span>&#36;</span>"
    assert saved.count(span) == saved.count("&#36;") == case["markdown"].count("<span>&#36;</span>")
    assert escape_html(saved) == saved


@given(texts)
def test_conversion_is_idempotent(text):
    once = with_formulas(text)
    assert with_formulas(once) == once


@given(texts)
def test_only_dollars_and_brackets_change(text):
    assert bare(with_formulas(text)) == bare(text)


def bare(markdown):
    return re.sub(r"[$\\()\[\]\s>]", "", re.sub(r"<span>&#36;</span>|%24", "", markdown.replace("&#53;", "5")))


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("The small one costs $5 and the big one costs $10 per month.", []),
        ("From $2,000 to $3,000 a year.", []),
        ("| a | b |\n|---|---|\n| $5 | $10 |\n", []),
        ("It costs $5, and $x$ is a formula.", ["$x$"]),
        ("So \\(x_{a}*y_{b}*z\\) and \\[ b_1*c_1*d \\]", ["$x_{a}*y_{b}*z$", "$$ b_1*c_1*d $$"]),
    ],
)
def test_nbconvert_sees_the_same_formulas(text, formulas):
    html = markdown2html_mistune(escape_html(with_formulas(text)))
    found = re.findall(r"\$\$.*?\$\$|\$.*?\$", html.replace("<span>$</span>", ""))
    assert [re.sub(r"</?em>", "_", formula) for formula in found] == formulas
    assert "<em>" not in html
