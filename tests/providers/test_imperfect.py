"""Streams that deviate from their format, in all formats: text that was paid for is not lost."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from providers.decoding import heard as heard_by
from providers.recorded import streams
from providers.sample_formats import FORMS, TEXT, WORDS
from providers.speaking import ERRORS, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Completed, ToolCall
from jupyter_bgstream.providers.formats import FORMATS, format_of
from jupyter_bgstream.providers.port import ProviderEvent

OVERLOADED = "Model service overloaded. Please try again later."
ODD = [
    None,
    True,
    False,
    0,
    7,
    -1,
    2**70,
    0.5,
    float("nan"),
    float("-inf"),
    "",
    "x",
    "\ud83d",
    [],
    [None],
    {},
    {"a": 1},
]

every_format = pytest.mark.parametrize("name", FORMS)


def heard(name: str, *pieces: bytes) -> tuple[list[ProviderEvent], ProviderError | None]:
    return heard_by(FORMATS[name].decoder, pieces)


def assert_whole(name: str, *pieces: bytes, words: str = TEXT) -> None:
    said, error = heard(name, *pieces)
    assert error is None, error.message
    assert (text(said), said[-1]) == (words, Completed(at=0.0, finish_reason="stop"))


def test_every_format_decodes_its_sample_stream() -> None:
    assert FORMS.keys() == FORMATS.keys()
    for name, form in FORMS.items():
        assert_whole(name, form.stream())


# The end


@every_format
@pytest.mark.parametrize("rest", [b"", b"\n", b"\r\n", b"\r"])
def test_last_event_needs_no_line_end(name: str, rest: bytes) -> None:
    assert_whole(name, FORMS[name].stream().rstrip(b"\n") + rest)


@every_format
def test_incomplete_end_event_is_truncated(name: str) -> None:
    stream = FORMS[name].stream().rstrip(b"\n")
    end = FORMS[name].frame(*FORMS[name].end).rstrip(b"\n")
    for place in range(1, len(end)):
        said, error = heard(name, stream[:-place])
        assert error is not None
        assert (error.code, text(said)) == ("truncated", TEXT)


@every_format
@pytest.mark.parametrize("late", [{"error": {"message": OVERLOADED, "code": 503}}, b"{oops", b"\xff", {"say": "late"}])
def test_data_after_the_end_is_ignored(name: str, late: Any) -> None:
    form = FORMS[name]
    assert_whole(name, form.stream() + form.frame(late))
    assert_whole(name, form.stream(), form.frame(late))


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [{"delta": {"content": "well."}, "finish_reason": None, "finishReason": "stop"}]},
        {"choices": [{"delta": {"content": "well.", "finish_reason": "stop"}}]},
        {"choices": [{"delta": {"content": "well."}}], "finish_reason": "stop"},
    ],
)
def test_finish_reason_is_found_in_misplaced_fields(last: dict[str, Any]) -> None:
    form = FORMS["chat_completions"]
    assert_whole("chat_completions", form.frame(form.say("All "), last))


# Framing


@every_format
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", [b"", b"\n\n", b"  ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("after", [b"", b"\n\n", b"\n\ndata: [DONE]\n\n"])
def test_json_document_is_read_as_answer(name: str, indent: int | None, before: bytes, after: bytes) -> None:
    document = json.dumps(FORMS[name].whole(TEXT), indent=indent).encode()
    assert_whole(name, before + document + after)
    assert_whole(name, *(bytes([byte]) for byte in before + document + after))


@every_format
def test_json_document_in_event_is_read_as_answer(name: str) -> None:
    assert_whole(name, b"data: " + json.dumps(FORMS[name].whole(TEXT)).encode() + b"\n\n")


@every_format
@pytest.mark.parametrize("lines", [True, False])
def test_sse_and_ndjson_framing_are_both_read(name: str, lines: bool) -> None:
    assert_whole(name, msgspec.structs.replace(FORMS[name], lines=lines).stream())


@every_format
def test_json_list_of_events_is_read(name: str) -> None:
    form = FORMS[name]
    events = [*form.begin, *map(form.say, WORDS), *form.end]
    for indent in (None, 1):
        assert_whole(name, json.dumps(events, indent=indent).encode())


@every_format
def test_login_page_is_malformed(name: str) -> None:
    said, error = heard(name, b"<!DOCTYPE html>\n<html><title>Sign in</title>\n")
    assert error is not None
    assert (said, error.code, "Sign in" in error.message or "DOCTYPE" in error.message) == (
        [],
        "malformed_stream",
        True,
    )


@every_format
def test_only_empty_body_is_transient(name: str) -> None:
    for body, transient in ((b"", True), (b"\n", False), (b"x", False)):
        _, error = heard(name, body)
        assert error is not None
        assert (error.transient, error.code in ("truncated", "malformed_stream")) == (transient, True)


# Heartbeats


@every_format
@pytest.mark.parametrize(
    "beat",
    [
        b'""',
        b"null",
        b"7",
        b"[]",
        b"{}",
        b"ping",
        b"2026-01-01 00:00:00.000000",
        b": OPENROUTER PROCESSING",
        b'{"type": "ping"}',
        b'{"type":"keepalive","sequence_number":1}',
    ],
)
def test_heartbeats_yield_no_events(name: str, beat: bytes) -> None:
    form = FORMS[name]
    for framing in (form.frame(beat), b"event: ping\n" + b"data: " + beat + b"\n\n", b": ping\n\n"):
        first, second = map(form.say, WORDS)
        stream = [framing, form.frame(*form.begin, first), framing, form.frame(second, *form.end), framing]
        assert_whole(name, *stream)


# Errors


@every_format
@pytest.mark.parametrize(
    "report",
    [
        {"error": {"message": OVERLOADED, "code": 503}},
        [{"error": {"message": OVERLOADED, "code": 503}}],
        {"code": 50505, "message": OVERLOADED, "data": None},
        {"detail": OVERLOADED},
        {"message": OVERLOADED, "type": "server_error"},
    ],
)
@pytest.mark.parametrize("began", [True, False])
def test_error_of_any_shape_is_recognized(name: str, report: Any, began: bool) -> None:
    form = FORMS[name]
    begin = form.frame(*form.begin, form.say("All ")) if began else b""
    shapes = [form.frame(report), json.dumps(report, indent=2).encode(), json.dumps(report).encode() + b"\n\n"]
    shapes += [
        b"error: " + json.dumps(report).encode() + b"\n\n",
        b"event: error\ndata: " + OVERLOADED.encode() + b"\n\n",
    ]
    for shape in shapes:
        said, error = heard(name, begin + shape)
        assert error is not None
        assert (text(said), OVERLOADED in error.message) == ("All " if began else "", True), shape
        assert (error.code, error.transient) == ("provider_error", True), shape


# Text


@every_format
def test_split_surrogate_pairs_are_joined(name: str) -> None:
    form = FORMS[name]

    def stream(*words: str) -> bytes:
        return form.frame(*form.begin, *map(form.say, words), *form.end)

    assert_whole(name, stream("Hi \ud83d", "\ude00!"), words="Hi \U0001f600!")
    assert_whole(name, stream("\ud83d", "\ude00", "\ud83d\ude00"), words="\U0001f600\U0001f600")
    assert_whole(name, stream("Hi \ud83d there", "\ude00"), words="Hi � there�")
    assert_whole(name, stream("Hi ", "\ud83d"), words="Hi �")
    for place in form.unneeded:
        assert_whole(
            name, form.frame(*form.begin, put(form.say("All "), place, "\ud83d"), form.say("well."), *form.end)
        )


def test_surrogates_in_tool_call_are_joined_or_replaced() -> None:
    def call(arguments: str, **more: Any) -> dict[str, Any]:
        return {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": arguments} | more}]}}]}

    form = FORMS["chat_completions"]
    said, error = heard("chat_completions", form.frame(call('"\ud83d', name="f\ud83d"), call('\ude00"'), *form.end))
    assert error is None
    assert said[0] == ToolCall(id="call_0", name="f�", arguments='"\U0001f600"')


# Types


def put(event: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(event))
    inner = changed
    *path, last = place.split(".")
    for name in path:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[last] = value
    return dict(changed)


@every_format
def test_odd_unneeded_fields_do_not_affect_text(name: str) -> None:
    form = FORMS[name]
    for place in form.unneeded:
        for odd in ODD:
            if place.endswith(("finish_reason", "done_reason")) and isinstance(odd, str):
                continue  # that is an end
            stream = form.frame(*form.begin, *(put(form.say(words), place, odd) for words in WORDS), *form.end)
            said, error = heard(name, stream)
            assert error is None, (place, odd, error.message)
            assert text(said) == TEXT, (place, odd)


@every_format
def test_text_among_many_odd_events_is_read(name: str) -> None:
    form = FORMS[name]
    place = next(place for place in form.unneeded if not place.endswith(("finish_reason", "done_reason")))
    odd = [put(form.say(word), place, [{}]) for word in "abcdefghijklmnop"]
    nan = json.dumps(form.say("q") | {"extra": "@"}).replace('"@"', "NaN").encode()
    half = json.dumps(form.say("\ud83d")).encode()
    stream = form.frame(*form.begin, *odd, nan, form.say("r"), b"", half, form.say("s"), *odd[:1], *form.end)
    assert_whole(name, stream, words="abcdefghijklmnopqr\ufffdsa")


@every_format
def test_non_json_numbers_are_accepted(name: str) -> None:
    form = FORMS[name]
    for number in ("NaN", "-Infinity", "Infinity", "nan", "-inf", "1e999", "1" * 5000):
        event = json.dumps(form.say("All ") | {"extra": {"a": "@"}}).replace('"@"', number).encode()
        assert_whole(name, form.frame(*form.begin, event, form.say("well."), *form.end))
    assert_whole(name, form.frame(*form.begin, form.say("nan, -Infinity"), *form.end), words="nan, -Infinity")


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("chat_completions", {"choices": [{"delta": {"content": 7}}]}),
        ("chat_completions", {"choices": [{"delta": {"content": [{"type": "text", "text": ["x"]}]}}]}),
        ("chat_completions", {"choices": [{"delta": "text"}]}),
        ("responses", {"type": "response.output_text.delta", "delta": {"text": "x"}}),
        ("messages", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 7}}),
        ("gemini", {"candidates": [{"content": {"parts": [{"text": 7}]}}]}),
        ("gemini", {"candidates": [{"content": {"parts": "x"}}]}),
        ("ollama", {"message": {"content": ["x"]}}),
        ("ollama", {"message": "x"}),
    ],
)
def test_unreadable_text_is_malformed(name: str, event: Any) -> None:
    form = FORMS[name]
    said, error = heard(name, form.frame(*form.begin, form.say("All "), event, *form.end))
    assert error is not None
    assert (text(said), error.code) == ("All ", "malformed_stream")


# Indices that count something else


def choice(index: int | None, words: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": words}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    "indices", [(0, 1, 2), (1, 2, 3), (1, 1, 1), (-1, -1, 0), (None, 0, 0), (0, None, 0), tuple(range(20))]
)
def test_numbered_pieces_form_one_answer(indices: tuple[int | None, ...]) -> None:
    events = [choice(index, f"{number} ") for number, index in enumerate(indices[:-1])]
    words = "".join(f"{number} " for number in range(len(indices) - 1)) + "end"
    assert_whole(
        "chat_completions", FORMS["chat_completions"].frame(*events, choice(indices[-1], "end", "stop")), words=words
    )


def test_only_choice_zero_of_several_is_read() -> None:
    frame = FORMS["chat_completions"].frame
    for order in ((0, 1, 0, 1), (0, 0, 1, 1), (1, 0, 1, 0)):
        spoken = {0: iter(["All ", "well."]), 1: iter(["No.", "Never."])}
        events = [choice(index, next(spoken[index])) for index in order]
        assert_whole("chat_completions", frame(*events, choice(1, "", "length"), choice(0, "", "stop"), b"[DONE]"))


# Recordings


UNNEEDED = {"id", "object", "created", "model", "system_fingerprint", "logprobs", "obfuscation", "provider"}
UNNEEDED |= {"service_tier", "item_id", "modelVersion", "responseId", "safetyRatings", "native_finish_reason"}


@pytest.mark.parametrize("folder", ["chat-completions", "openai-responses", "anthropic-messages", "google-gemini"])
def test_recording_with_odd_unneeded_values_decodes_the_same(folder: str) -> None:
    name = {"openai-responses": "responses", "anthropic-messages": "messages", "google-gemini": "gemini"}.get(
        folder, "chat_completions"
    )
    chance = random.Random(folder)
    for path in streams(folder).values():
        lines = [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
        plain = heard(name, *(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines))
        for line in lines:
            spoil(line, chance)
        spoiled = heard(name, *(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines))
        assert spoiled[0] == plain[0], path.name
        assert (spoiled[1] is None) == (plain[1] is None)


def spoil(event: Any, chance: random.Random) -> None:
    if not isinstance(event, dict) or event.get("object") == "response" or "response" in event or "item" in event:
        return
    name = chance.choice(sorted(UNNEEDED & event.keys()) or ["unknown"])
    event[name] = chance.choice(ODD)


def test_done_ends_stream_only_if_configured() -> None:
    form = FORMS["chat_completions"]
    for done_is_end in (True, False):
        decoder = format_of("chat_completions", "plain", done_is_end=done_is_end).decoder(ERRORS)
        decoder.feed(form.frame(form.say(TEXT), b"[DONE]"))
        decoder.close()
        assert (decoder.error is None) == done_is_end
