"""Markdown that takes long to draw is saved as code, so that it does not block a reader of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser.costly import CORPUS, mixed
from client.reading import READERS, harms
from client.writing import markdown

from jupyter_bgstream.outputs.escape_markdown import escape_html
from jupyter_bgstream.outputs.render_cost import BLOCK_LIMIT, cost_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/costly.json").read_text())


def joined(pieces: list[tuple[str, int]]) -> str:
    return "".join(text * times for text, times in pieces)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in GOLDEN["cases"]])
def test_costly_markdown_is_escaped_as_in_golden_case(case: dict[str, Any]) -> None:
    assert escape_html(joined(case["markdown"])) == joined(case["escaped"])
    assert escape_html(joined(case["escaped"])) == joined(case["escaped"])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in GOLDEN["costs"]])
def test_drawing_cost_equals_golden_case(case: dict[str, Any]) -> None:
    assert cost_of(joined(case["text"]), fence=case["fence"]) == pytest.approx(case["cost"])


@pytest.mark.parametrize("name", CORPUS)
def test_escaping_long_text_is_idempotent_and_bounds_its_cost(name: str) -> None:
    for size in (5000, 30_000):
        saved = escape_html(CORPUS[name](size))
        assert escape_html(saved) == saved
        prose = [part for part in saved.split("\n\n") if part.strip() and "```" not in part and "~~~" not in part]
        assert all(cost_of(part, fence=False) <= BLOCK_LIMIT for part in prose)


@pytest.mark.parametrize("seed", range(20))
def test_costly_parts_among_attacks_are_harmless(seed: int) -> None:
    text = "\n\n".join(
        [markdown(seed), mixed(seed)[:3000], ">" * 50, markdown(seed + 1), "```" * (seed % 2), mixed(seed)[:9]]
    )
    saved = escape_html(text)
    assert escape_html(saved) == saved
    for name, read in READERS.items():
        assert not harms(read(saved)), f"{name} of {text!r}"
