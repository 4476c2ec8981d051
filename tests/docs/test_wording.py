"""Words of the private idiom: each file has exactly as many as ``wording_allowed.json`` says, and no new ones."""

from __future__ import annotations

import pytest
from docs.wording import allowances, found, instead, texts

COMMAND = "python tests/docs/wording.py"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Whoever asks need not be\n  told", ["Whoever", "need not be", "told"]),
        ("def test_nobody_else_reads():", ["nobody"]),
        ("There is none", ["is none"]),
        ("whose whole job is None; kindly foretold", []),
    ],
)
def test_matches_are_whole_words_also_in_names(text: str, words: list[str]) -> None:
    assert [" ".join(word.split()) for _, word in found(text)] == words


def test_no_file_has_more_than_its_allowance() -> None:
    allowed = allowances()
    risen = [
        f"{name}:{line}: {word!r}; write instead: {instead(word)}"
        for name, text in texts()
        if len(matches := found(text)) > allowed.get(name, 0)
        for line, word in matches
    ]
    assert risen == [], "\n".join(risen)


def test_no_allowance_is_higher_than_needed() -> None:
    count = {name: len(found(text)) for name, text in texts()}
    higher = [f"{name}: {n}, not {count.get(name, 0)}" for name, n in allowances().items() if n > count.get(name, 0)]
    assert higher == [], f"Run {COMMAND}"
