"""Estimates of the number of tokens for letters, symbols and other alphabets."""

import pytest

from jupyter_bgstream.client.batch.estimate import Estimate, tokens_in, tokens_of

ENGLISH = (
    "The quick brown fox jumps over the lazy dog, and then it does so again because nobody was looking the first time."
)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (ENGLISH, 20, 32),
        ("Der Himmel ist blau, weil kurze Wellen stärker gestreut werden als lange.", 14, 26),
        ("天空为什么是蓝色的", 6, 13),
        ("Почему небо голубое и как это объяснить детям?", 10, 26),
        ("def f(x):\n    return {'a': x[0], 'b': 3.14159}\n", 16, 32),
        ("", 0, 0),
    ],
)
def test_token_estimate_is_near(text, low, high):
    assert low <= tokens_in(text) <= high


def test_messages_and_images_are_counted():
    words = tokens_of([{"prompt": ENGLISH}])
    parts = [{"type": "text", "text": ENGLISH}, {"type": "image", "data": "A" * 4_000_000}]
    assert tokens_of([{"messages": [{"content": parts}]}]) == words + 1000
    assert tokens_of([{"prompt": ENGLISH}] * 100) == pytest.approx(100 * words, rel=0.05)


def test_repr_of_estimate_names_unknown_amounts():
    known = {"model": "m/n", "rows": 10, "answered": 4, "input_tokens": 600}
    estimate = Estimate(**known, input_usd=None)
    assert estimate.usd is None
    assert "6 of 10, 4 are answered" in repr(estimate)
    assert "unknown: set max_tokens in params" in repr(estimate)
    estimate = Estimate(**known, input_usd=0.25, output_tokens=100, output_usd=0.5)
    assert estimate.usd == 0.75
    assert "at most ≈ $0.50" in repr(estimate)
