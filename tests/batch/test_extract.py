"""Extraction of the one JSON value in an answer."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client.batch.json_extraction import NotJsonError, json_in

OBJECT = '{"mood": "good", "n": 9007199254740993}'
VALUE = {"mood": "good", "n": 9007199254740993}

AROUND = {
    "nothing": "%s",
    "fence": "```json\n%s\n```",
    "fence of tildes": "~~~json\n%s\n~~~",
    "fence with CRLF": "```\r\n%s\r\n```\r\n",
    "fence in a line": "```%s```",
    "thoughts": '<think>\nIt is {so} {"mood": "bad"} good.\n</think>\n\n%s',
    "thoughts without a beginning": "It is friendly.\n</think>\n\n%s",
    "empty thoughts and a fence": "<think></think>\n```json\n%s\n```",
    "other tags": "<Reasoning>so</Reasoning> %s",
    "a sentence before": "Here is the JSON [1], as {asked}:\n\n%s",
    "a sentence after": "%s\n\nLet me know if you need more :-] [1, 2].",
    "a sentence before a fence": "Here it is:\n\n```json\n%s\n```\n\nDone.",
    "byte order mark": "\ufeff%s",
    "no-break spaces": "\u00a0%s\u00a0\u200b",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("text", [OBJECT, json.dumps([VALUE, VALUE]), json.dumps({"text": "</think> ```{ [1] {}"})])
def test_value_is_found_in_any_surrounding_text(around, text):
    assert json_in(around % text) == json.loads(text)


@pytest.mark.parametrize("text", ["7", '"word"', "null", "true", "-1.5e3", "[]", "[1, 2]", "{}"])
def test_any_json_value_is_accepted_after_reasoning(text):
    for around in ("nothing", "thoughts without a beginning", "no-break spaces"):
        assert json_in(AROUND[around] % text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        OBJECT + OBJECT,
        f"{OBJECT}\n" + '{"mood": "bad"}',
        f"```json\n{OBJECT}\n```\nor\n```json\n{OBJECT}\n```",
        "[1] or [2]",
        '{"mood": "go',
        '{"inner": {"mood": "good"}, "ou',
        '[{"mood": "good"}, {"mood',
        '["a", "b',
        f"<think> I would answer {OBJECT}",
        f"<think> I would answer {OBJECT}</think>",
        '{"n": NaN}',
        '{"n": -Infinity}',
        '{"n": 1e999}',
        '{"n": ' + "9" * 5_000 + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        "{" * 200_000,
    ],
    ids=lambda text: text[:20],
)
def test_missing_partial_or_repeated_values_are_refused(text):
    with pytest.raises(NotJsonError):
        json_in(text)


@given(st.text("{}[]\"'<>/think:,1a `~\n\\", max_size=80))
def test_only_not_json_error_is_raised(text):
    try:
        found = json_in(text)
    except NotJsonError:
        return
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("text", ["[1, see] {so} [text] " * 10_000, "{ [" * 60_000, "[1" * 100_000, '["' * 100_000])
def test_long_prose_is_read_in_bounded_time(text):
    began = time.process_time()
    assert json_in(f"{text} <think>{text}</think> {OBJECT}") == VALUE
    with pytest.raises(NotJsonError):
        json_in(text)
    assert time.process_time() - began < 5  # seconds; quadratic, it would be minutes
