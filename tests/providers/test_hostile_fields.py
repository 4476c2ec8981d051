"""Fields beside the text of an answer are bounded, hold no key, and do not affect the text."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from providers.conftest import Connect
from providers.decoding import bare, named
from providers.raw import Strain, raw
from providers.speaking import job, of, read, text
from providers.test_bodies import MOST_BLOCK, MOST_MEMORY

from jupyter_bgstream.core.events import Citation, Completed, ToolCall, Usage
from jupyter_bgstream.providers.errors import ErrorBuilder
from jupyter_bgstream.providers.event_limits import MAX_CALLS, MAX_CITATIONS, TITLE_LENGTH
from jupyter_bgstream.providers.finish_reasons import FINISHES
from jupyter_bgstream.providers.formats import tool_calls
from jupyter_bgstream.providers.formats.stream_decoder import MAX_COUNT
from jupyter_bgstream.providers.port import MAX_MODELS, Resume
from jupyter_bgstream.testing import Script, ScriptedProvider, replay
from jupyter_bgstream.testing.scripts import refusal

KEY = "sk-C4nary_0123456789-abcdefgh"
ROUTES = {
    "chat_completions": "POST /v1/chat/completions",
    "messages": "POST /v1/messages",
    "gemini": "POST /v1/models/one:streamGenerateContent",
    "responses": "POST /v1/responses",
    "ollama": "POST /v1/api/chat",
}


def chat(word: Any, call: Any, page: str, title: str) -> Iterable[bytes]:
    function = {"name": call, "arguments": "{}"}
    return bare(
        {"choices": [{"delta": {"content": "Hello"}}], "search_results": [{"url": page, "title": title}]},
        {"choices": [{"delta": {"tool_calls": [{"id": call, "function": function}]}, "finish_reason": word}]},
    )


def messages(word: Any, call: Any, page: str, title: str) -> Iterable[bytes]:
    return named(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "citations_delta", "citation": {"url": page, "title": title}},
        },
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": call, "name": call}},
        {"type": "message_delta", "delta": {"stop_reason": word}},
        {"type": "message_stop"},
    )


def gemini(word: Any, call: Any, page: str, title: str) -> Iterable[bytes]:
    parts = [{"text": "Hello"}, {"functionCall": {"name": call, "id": call, "args": {}}}]
    grounding = {"groundingChunks": [{"web": {"uri": page, "title": title}}]}
    return bare({"candidates": [{"content": {"parts": parts}, "finishReason": word, "groundingMetadata": grounding}]})


def responses(word: Any, call: Any, page: str, title: str) -> Iterable[bytes]:
    annotation = {"type": "url_citation", "url": page, "title": title}
    output = [{"type": "function_call", "call_id": call, "name": call, "arguments": "{}"}]
    return named(
        {"type": "response.created", "sequence_number": 0, "response": {"id": call, "background": True}},
        {"type": "response.output_text.delta", "sequence_number": 1, "delta": "Hello"},
        {"type": "response.output_text.annotation.added", "sequence_number": 2, "annotation": annotation},
        {
            "type": "response.incomplete",
            "sequence_number": 3,
            "response": {"output": output, "incomplete_details": {"reason": word}},
        },
    )


def ollama(word: Any, call: Any, page: str, title: str) -> Iterable[bytes]:
    calls = [{"id": call, "function": {"name": call, "arguments": {}}}]
    lines = [{"message": {"content": "Hello"}}, {"message": {"tool_calls": calls}, "done": True, "done_reason": word}]
    return [json.dumps(line).encode() + b"\n" for line in lines]


FORMATS: dict[str, Callable[..., Iterable[bytes]]] = {
    "chat_completions": chat,
    "messages": messages,
    "gemini": gemini,
    "responses": responses,
    "ollama": ollama,
}
TYPES = {"ollama": {"Content-Type": "application/x-ndjson"}}


def serve(provider: ScriptedProvider, format: str, pieces: Iterable[bytes]) -> None:
    script = replay(pieces)
    provider.routes[ROUTES[format]] = Script(steps=script.steps, headers=TYPES.get(format, script.headers))


SHOWN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "base64": lambda key: base64.b64encode(b"x" + key.encode()).decode(),
    "hex": lambda key: key.encode().hex(),
}


@pytest.mark.parametrize("form", SHOWN)
@pytest.mark.parametrize("format", FORMATS)
async def test_key_in_any_field_is_redacted(
    provider: ScriptedProvider, connect: Connect, caplog: pytest.LogCaptureFixture, format: str, form: str
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "jupyter_bgstream")
    shown = SHOWN[form](KEY)
    serve(provider, format, FORMATS[format](shown, shown, f"https://x.example/?k={shown}", f"Your key: {shown}"))
    said, error = await read(connect(format=format, key=KEY))
    assert (text(said), error) == ("Hello", None)
    assert [end.finish_reason for end in of(said, Completed)] == ["other"]
    assert [(call.id, call.name) for call in of(said, ToolCall)] == [("[key]", "[key]")] or form == "base64"
    if format != "ollama":
        assert [source.title.startswith("Your key: ") for source in of(said, Citation)] == [True]
    assert shown[2:-4].lower() not in f"{said} {caplog.text}".lower()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "word", ["stop", {"reason": "stop"}, ["stop"], 5, True, "x" * 1_000_000, "<b>", "a\nb", "other"]
)
async def test_any_finish_reason_becomes_a_known_value(
    provider: ScriptedProvider, connect: Connect, format: str, word: Any
) -> None:
    serve(provider, format, FORMATS[format](word, "call", "https://x.example/", ""))
    said, error = await read(connect(format=format))
    assert (text(said), error) == ("Hello", None)
    (end,) = of(said, Completed)
    assert end.finish_reason in FINISHES


@pytest.mark.parametrize("format", FORMATS)
async def test_long_fields_are_cut_and_long_url_is_dropped(
    provider: ScriptedProvider, connect: Connect, format: str
) -> None:
    long = "x" * 1_000_000
    serve(provider, format, FORMATS[format]("stop", long, f"https://x.example/{long}", long))
    said, error = await read(connect(format=format))
    assert (text(said), error, of(said, Citation)) == ("Hello", None, [])
    assert [(len(call.id), len(call.name)) for call in of(said, ToolCall)] == [(200, 200)]
    assert all(len(mark.token) < 1000 for mark in said if isinstance(mark, Resume))
    serve(provider, format, FORMATS[format]("stop", "call", "https://x.example/", long))
    said, _ = await read(connect(format=format))
    assert all(len(source.title) == TITLE_LENGTH for source in of(said, Citation))


def part(part: dict[str, Any]) -> Iterable[bytes]:
    return bare({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]})


async def test_key_in_message_of_service_is_redacted_from_text(provider: ScriptedProvider, connect: Connect) -> None:
    told = f"Blocked for {KEY}"
    refused = {"stop_reason": "refusal", "stop_details": {"explanation": told}}
    cases: list[tuple[str, Iterable[bytes]]] = [
        ("gemini", bare({"promptFeedback": {"blockReason": told}})),
        ("gemini", bare({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": told}})),
        ("gemini", bare({"candidates": [{"finishReason": "SAFETY", "finishMessage": told}]})),
        ("gemini", part({"inlineData": {"mimeType": told}})),
        ("gemini", part({"executableCode": {"code": "1", "language": told}})),
        ("gemini", part({"codeExecutionResult": {"outcome": told}})),
        ("messages", named({"type": "message_delta", "delta": refused}, {"type": "message_stop"})),
    ]
    for format, pieces in cases:
        serve(provider, format, pieces)
        said, error = await read(connect(format=format, key=KEY))
        assert error is None
        assert text(said)
        assert KEY.lower() not in str(said).lower()


async def test_invalid_or_secret_model_names_are_not_listed(provider: ScriptedProvider, connect: Connect) -> None:
    names = ["fine", KEY, f"a/{KEY.upper()}", "x" * 1_000_000, "two\nlines", "nul\0"]
    provider.listing = refusal(200, {"data": [{"id": name} for name in names]})
    status = await connect(key=KEY).status()
    assert (status.models, status.error) == (("puppet/fine",), None)


async def test_model_list_is_bounded(provider: ScriptedProvider, connect: Connect) -> None:
    provider.listing = refusal(200, {"data": [{"id": f"model-{number}"} for number in range(100_000)]})
    async with Strain() as strain:
        status = await connect(key=KEY).status()
    assert len(status.models) == MAX_MODELS
    assert strain.longest < MOST_BLOCK


async def test_key_in_status_reason_is_not_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = f"HTTP/1.1 401 No {KEY}\r\n\r\n".encode()
    with raw(lambda: [answers]) as url:
        service = connect(url, key=KEY)
        _, error = await read(service)
        status = await service.status()
    assert "401" in caplog.text
    assert KEY not in f"{caplog.text} {error} {status}"


@pytest.mark.parametrize("at_once", [1_000_000, 1_000])
async def test_first_citations_of_many_are_kept(provider: ScriptedProvider, connect: Connect, at_once: int) -> None:
    urls = [f"https://x.example/{number}" for number in range(300_000 if at_once > 1000 else 30_000)]
    chunks = [{"choices": [], "citations": urls[at : at + at_once]} for at in range(0, len(urls), at_once)]
    last = {"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}
    provider.scripts["one"] = replay([b"".join(bare(*chunks, last))])
    async with Strain() as strain:
        said, error = await read(connect())
    assert (text(said), error) == ("Hello", None)
    assert [source.url for source in of(said, Citation)] == urls[:MAX_CITATIONS]
    assert strain.longest < 2 * MOST_BLOCK  # one event of 9 MB, decoded as a whole


MANY_CALLS: dict[str, Callable[[], Iterable[bytes]]] = {
    "chat_completions": lambda: bare(
        *({"choices": [{"delta": {"tool_calls": [{"id": f"a{n}"}]}}]} for n in range(3 * MAX_CALLS))
    ),
    "messages": lambda: named(
        *(
            {"type": "content_block_start", "index": n, "content_block": {"type": "tool_use", "id": f"a{n}"}}
            for n in range(3 * MAX_CALLS)
        )
    ),
    "gemini": lambda: bare({"candidates": [{"content": {"parts": [{"functionCall": {"name": "a"}}] * 3 * MAX_CALLS}}]}),
    "responses": lambda: named(
        *(
            {"type": "response.output_item.done", "item": {"type": "function_call", "call_id": f"a{n}"}}
            for n in range(3 * MAX_CALLS)
        )
    ),
    "ollama": lambda: [b'{"message":{"tool_calls":[{"function":{"name":"a"}}]}}\n'] * 3 * MAX_CALLS,
}


@pytest.mark.parametrize("format", MANY_CALLS)
async def test_answer_with_too_many_tool_calls_fails(provider: ScriptedProvider, connect: Connect, format: str) -> None:
    serve(provider, format, [b"".join(MANY_CALLS[format]())])
    said, error = await read(connect(format=format))
    assert error is not None
    assert error.code == "answer_too_long"
    assert len(of(said, ToolCall)) <= MAX_CALLS


@pytest.mark.parametrize("format", ["chat_completions", "messages"])
async def test_endless_tool_call_arguments_fail(
    provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(tool_calls, "MAX_ARGUMENTS", 2_000_000)
    piece = "ab" * 5_000
    pieces = (
        bare(*[{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}]}] * 300)
        if format == "chat_completions"
        else named(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a"}},
            *[{"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": piece}}] * 300,
        )
    )
    serve(provider, format, pieces)
    async with Strain() as strain:
        said, error = await read(connect(format=format))
    assert said == []
    assert error is not None
    assert error.code == "answer_too_long"
    assert strain.grown < MOST_MEMORY


@pytest.mark.parametrize("number", ["-1", "1e308", "1e15", str(2**70), "1" * 1000, "[]", "{}", '"5"', "true", "null"])
async def test_invalid_usage_number_is_dropped(provider: ScriptedProvider, connect: Connect, number: str) -> None:
    usage = f'{{"prompt_tokens": {number}, "completion_tokens": 3, "cost": {number}}}'
    data = f'data: {{"choices": [{{"delta": {{"content": "Hello"}}, "finish_reason": "stop"}}], "usage": {usage}}}\n\n'
    provider.scripts["one"] = replay(data.encode())
    said, error = await read(connect())
    assert (text(said), error) == ("Hello", None)
    assert [(found.input_tokens, found.output_tokens, found.cost) for found in of(said, Usage)] == [(None, 3, None)]


async def test_sum_of_largest_usage_fits_the_database(provider: ScriptedProvider, connect: Connect) -> None:
    most = MAX_COUNT - 1
    counts = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens"), most)
    end = {"type": "message_delta", "usage": counts, "delta": {"stop_reason": "end_turn"}}
    serve(provider, "messages", named(end, {"type": "message_stop"}))
    said, _ = await read(connect(format="messages"))
    (usage,) = of(said, Usage)
    assert usage.input_tokens * 1_000_000 < 2**63  # as many answers as a database may hold


PAGES = {
    "brackets": b"<" * 65536,
    "scripts": b"<script " * 8192,
    "styles": b"<style>" * 9362,
    "ends": b"</script" * 8192,
    "escapes": b"%41" * 21845,
    "backslashes": b"\\" * 65536,
    "entities": b"&#0000000" * 7281,
    "beginnings of the key": b"sk-C4nary_" * 6553,
    "a key in pieces": KEY.encode() * 2000,
    "spaces": b" " * 65536,
}


@pytest.mark.parametrize("page", PAGES)
async def test_html_error_page_does_not_block_the_event_loop(
    provider: ScriptedProvider, connect: Connect, page: str
) -> None:
    provider.scripts["one"] = refusal(403, PAGES[page], {"Content-Type": "text/html"})
    service = connect(key=KEY)
    async with Strain() as strain:
        _, error = await read(service)
    assert error is not None
    assert error.code == "unauthorized"
    assert KEY not in error.message
    assert strain.longest < MOST_BLOCK


def test_scripts_and_styles_are_removed_from_error_page() -> None:
    page = b"<html><SCRIPT>a</SCRIPT >Not <style\n>b</style>here<br/>. 1 < 2 <script>c"
    error = ErrorBuilder("puppet").response_error(404, {}, page)
    assert error.message.endswith("Not here . 1 < 2")


LAST_DATE = "Fri, 31 Dec 9999 23:59:59 GMT"  # 253,402,300,799 in Unix time


@pytest.mark.parametrize("asked", ["1e300", "9" * 400, "-5", "nan", "inf", LAST_DATE, "\u0661"])
async def test_invalid_retry_after_is_dropped_or_bounded(
    provider: ScriptedProvider, connect: Connect, asked: str
) -> None:
    delays = {"-5": 0.0, LAST_DATE: pytest.approx(253_402_300_799 - time.time(), abs=60)}
    provider.scripts["one"] = refusal(429, "", {"Retry-After": asked.encode("latin-1", "ignore").decode("latin-1")})
    _, error = await read(connect(), job())
    assert error is not None
    assert error.code == "rate_limited"
    assert error.retry_after == delays.get(asked)


async def test_sparse_argument_paths_are_refused_in_bounded_memory(
    provider: ScriptedProvider, connect: Connect
) -> None:
    # 300 bytes ask for half a million places; a hundred of them took 500 MB.
    deep = [{"jsonPath": f"$.a{number}{'[9999]' * 49}", "numberValue": 1} for number in range(100)]
    calls = [{"name": "f", "willContinue": True}, {"partialArgs": deep, "willContinue": True}, {}]
    events = [{"candidates": [{"content": {"parts": [{"functionCall": call}]}}]} for call in calls]
    serve(provider, "gemini", [b"".join(bare(*events))])
    async with Strain() as strain:
        _, error = await read(connect(format="gemini"))
    assert error is not None
    assert error.code == "answer_too_long"
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK
