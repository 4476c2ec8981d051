"""Markdown that is saved in a notebook file is harmless in every reader."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import html5lib
import pytest
from client.reading import READERS, harms
from client.writing import markdown

from jupyter_bgstream.outputs.escape_markdown import escape_html
from jupyter_bgstream.providers.bundled_plugins import demo_texts

GOLDEN = Path(__file__).parents[1] / "golden"


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((GOLDEN / name).read_text())["cases"]]


@pytest.mark.parametrize("case", cases("escape.json"))
def test_escaped_markdown_equals_golden_case(case: dict[str, str]) -> None:
    assert escape_html(case["markdown"]) == case["escaped"]
    assert escape_html(case["escaped"]) == case["escaped"]


# Harmless.


@pytest.mark.parametrize("case", cases("attacks.json"))
@pytest.mark.parametrize("reader", READERS)
def test_escaped_attack_is_harmless_in_every_reader(reader: str, case: dict[str, str]) -> None:
    html = READERS[reader](escape_html(case["markdown"]))
    assert not harms(html), html


@pytest.mark.parametrize("hundred", range(4))
def test_escaped_random_markdown_is_harmless_in_every_reader(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        saved = escape_html(markdown(seed))
        assert escape_html(saved) == saved
        for name, read in READERS.items():
            assert not harms(read(saved)), f"{name} of {markdown(seed)!r}, saved as {saved!r}"


@pytest.mark.parametrize("reader", READERS)
def test_check_finds_unescaped_attacks(reader: str) -> None:
    assert harms(READERS[reader]("a <x-bad> b")) == ["<x-bad>"]
    assert harms(READERS[reader]("![a](https://a.example/b.png)"))
    assert sum(bool(harms(READERS[reader](markdown(seed)))) for seed in range(50)) > 20


# What people write comes out as they wrote it.

ORDINARY = {case["name"]: case["markdown"] for case in json.loads((GOLDEN / "ordinary.json").read_text())["cases"]}
ORDINARY |= {
    f"demo {name}": text
    for name, text in vars(demo_texts).items()
    if isinstance(text, str) and not name.startswith("__")
}
TAGS = re.compile(r"<(?=T>|think>|&)")  # are no text to a reader that keeps them


def read(reader: str, markdown: str) -> tuple[str, list[str]]:
    """Return all words without white space, since maths may have a space more, and each block of code as it is."""
    page = html5lib.parse(READERS[reader](markdown), namespaceHTMLElements=False)
    return "".join("".join(page.itertext()).split()), ["".join(code.itertext()) for code in page.iter("pre")]


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("reader", READERS)
def test_ordinary_markdown_reads_the_same_after_escaping(reader: str, name: str) -> None:
    markdown = ORDINARY[name]
    assert read(reader, escape_html(markdown)) == read(
        reader, TAGS.sub("&lt;", markdown) if "<T>" in markdown else markdown
    )


@pytest.mark.parametrize(
    "piece",
    [
        *"\\`[$<", "://", "](", "]:", "![", "``a`", "<https://", "``` ", "  - ", "a\n```\n", "[a\n", "[a]: ", "`<b>`",
        "\\(", "![a](https://a.b \"", "\\begin{a}", "$$\na\n$$\n", "<code>", "- a\n  ```\n",
        "![](data:image/png;base64,", "https://a$", "](https://a.b 'a", "- [ ] ", "](#(",
    ],
)  # fmt: skip
def test_escaping_time_is_linear(piece: str) -> None:
    # Quadratic, each of these would take minutes.
    start = time.process_time()
    assert escape_html(piece * (400_000 // len(piece)))
    assert time.process_time() - start < 5
