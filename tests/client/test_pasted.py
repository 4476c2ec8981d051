"""Prompts are sent as written: pasted code is never changed, and expressions in prose are filled in."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client.magics.errors import MagicError
from jupyter_bgstream.client.magics.interpolation import fill, places, value_of

GOLDEN = Path(__file__).parents[1] / "golden" / "prompts.json"
PASTED = {
    f"{path.stem}-{number}": snippet
    for path in sorted((Path(__file__).parent / "pasted").glob("*.txt"))
    for number, snippet in enumerate(path.read_text().removesuffix("\n").split("\n=====\n"))
}
CASES = json.loads(GOLDEN.read_text())["cases"]


def sent(prompt: str, variables: dict[str, Any] | None = None) -> str:
    return fill(
        prompt, places(prompt), lambda place: value_of(place.expression, variables or {}, f"on line {place.line}")
    )


def every_name(text: str) -> dict[str, Any]:
    return {name: f"<{name} was filled in>" for name in re.findall(r"[^\W\d]\w*", text)}


def test_corpus_is_complete() -> None:
    assert len(PASTED) >= 200
    assert len({name.rpartition("-")[0] for name in PASTED}) >= 12
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", PASTED)
def test_pasted_code_is_sent_byte_for_byte(name: str) -> None:
    snippet = PASTED[name]
    for before, after in (
        ("", ""),
        ("What does this do?\n\n", ""),
        ("What does this do?\n", "\n"),
        ("", "\n\nExplain it to me."),
        ("Fix:\n```\n", "\n```\nAnswer in one word."),
    ):
        prompt = before + snippet + after
        assert sent(prompt) == prompt
        assert sent(prompt, every_name(prompt)) == prompt


@pytest.mark.parametrize("name", PASTED)
def test_prose_around_pasted_code_is_filled_in(name: str) -> None:
    prompt = f"Explain this to {{reader}}:\n\n{PASTED[name]}\n\nAnswer in {{n}} words."
    variables = every_name(prompt) | {"reader": "Ada", "n": 7}
    assert sent(prompt, variables) == prompt.replace("{reader}", "Ada").replace("{n} words", "7 words")
    with pytest.raises(MagicError, match=r"\{reader\} on line 1 cannot be filled in"):
        sent(prompt)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["prompt"][:30])
def test_intended_expressions_are_filled_in(case: dict[str, Any]) -> None:
    found = places(case["prompt"])
    assert [place.expression.source for place in found if place.filled] == case["filled"]
    for number, source in enumerate(case["filled"]):
        # The same prompt with one typing error is not sent.
        if not any(other.startswith(source[:2]) for other in case["filled"][:number]):
            prompt = re.sub(rf"(?<!{{){{{re.escape(source)}}}", "{mistyped_name}", case["prompt"], count=1)
            assert "mistyped_name" in {place.expression.source for place in places(prompt) if place.filled}


@given(st.text(st.characters(exclude_characters="{}")))
def test_text_without_braces_is_unchanged(text: str) -> None:
    assert sent(text) == text


PIECES = ("}", "\n", "\n\n", "`", "$", "```", "x", '"""', "(", "f(", "    ", ";", " ", "<p>")
NO_EXPRESSIONS = ("{ ", "{}", "{1}", "{a, b}", '{"a": 1}', "{{ a }}")


@given(st.lists(st.sampled_from((*PIECES, *NO_EXPRESSIONS))))
def test_braces_without_expressions_are_unchanged(parts: list[str]) -> None:
    text = "".join(parts)
    assert sent(text, every_name(text)) == text


@given(st.lists(st.sampled_from((*PIECES, *NO_EXPRESSIONS, "{a}", "{{a}}", "{"))))
def test_text_outside_of_places_is_unchanged(parts: list[str]) -> None:
    text = "".join(parts)
    found = places(text)
    rest = text
    for place in reversed([place for place in found if not place.left]):
        rest = rest[: place.start] + "#" * len(text) + rest[place.end :]
    changed = fill(text, [place._replace(braces=1) for place in found], lambda _: "#" * len(text))
    assert changed == rest
    assert all(text[place.start : place.end].strip("{}").count("{") == 0 for place in found)


def long_prompts() -> list[str]:
    """About 1 MB each: what people paste, and a question about it."""
    question = "Explain this to {reader}:\n\n"
    pasted = "\n\n".join(PASTED.values())
    return [
        question + "Nothing was found in the box, and the door was open. " * 19_000,
        question + ("2026-01-01 12:00:00,123 INFO worker-7 [main] task took 17 ms\n" * 9 + "See {id}.\n") * 1_700,
        question + '{"k":{"v":[1,2,{"z":"it is"}]},"name":"{name}"}\n' * 20_000,
        question + "```\n" + pasted * (1_000_000 // len(pasted)) + "\n```",
        question + "Read {part} now, and all that follows it, which is long enough for a line.\n\n" * 13_000,
    ]


@pytest.mark.parametrize("number", range(5))
def test_megabyte_is_parsed_in_half_a_second(number: int) -> None:
    text = long_prompts()[number]
    assert len(text) > 900_000
    assert takes_less_than(0.5, text)


@pytest.mark.parametrize(
    "unit",
    [
        *("{", "{a", "{a}", "{a} ", "{a}\n", "{a}\n\n", "`{a} $x ", "({a} [", "<a {b} ", "```\n{a}\n", "\t{a}\n"),
        *('"', "a/", "a = ", "\\", "\\a", " ", "'''\n{a}\n", "{{a}} {% ", "f(", "$", "-", "a.", "SELECT ", "a ("),
        *("{a!r:>9}", "{a.b}{", "<!--{a}", "x_", "\n", "(a", "{a['", "_", "a:", "a\n"),
    ],
)
def test_parsing_time_is_linear(unit: str) -> None:
    # A quadratic search would take minutes.
    assert takes_less_than(3, unit * (200_000 // len(unit)) + "{a}")


def takes_less_than(seconds: float, text: str) -> bool:
    """Compare CPU time, to which a busy machine adds: one of three measurements is enough."""
    for _ in range(3):
        began = time.process_time()
        places(text)
        if time.process_time() - began < seconds:
            return True
    return False
