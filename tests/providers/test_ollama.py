"""The API of Ollama: requests, answers and errors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from providers.conftest import Connect
from providers.speaking import ERRORS, job, of, read, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Completed, Delta, ToolCall, Usage
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers.formats import FORMATS
from jupyter_bgstream.providers.port import ProviderEvent
from jupyter_bgstream.testing import Cut, Hold, Script, ScriptedProvider, Send, refusal

OLLAMA = FORMATS["ollama"]
LINES = {"Content-Type": "application/x-ndjson"}
END = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
COUNTS = {"prompt_eval_count": 26, "eval_count": 298, "total_duration": 5191566416}


def lines(*values: Any) -> bytes:
    return b"".join(
        (value.encode() if isinstance(value, str) else msgspec.json.encode(value)) + b"\n" for value in values
    )


def piece(**message: Any) -> dict[str, Any]:
    return {"model": "one", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}


def heard(*pieces: bytes) -> tuple[list[ProviderEvent], ProviderError | None]:
    decoder = OLLAMA.decoder(ERRORS)
    said = [event for data in pieces for event in decoder.feed(data)]
    return said + decoder.close(), decoder.error


def body(*history: Message, **params: Any) -> dict[str, Any]:
    request = OLLAMA.request(job(params=params, history=history), ERRORS)
    assert (request.path, request.body is not None) == ("/api/chat", True)
    return dict(msgspec.json.decode(request.body or b""))


class TestRequest:
    def test_params_become_options(self) -> None:
        schema = {"type": "object"}
        sent = body(
            max_tokens=100,
            temperature=0.5,
            top_p=0.9,
            stop="END",
            seed=7,
            reasoning_effort="low",
            schema=schema,
            num_ctx=8192,
            keep_alive="10m",
            tools=[],
        )
        assert {name: sent[name] for name in sent if name != "messages"} == {
            "model": "one",
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": {
                "num_predict": 100,
                "temperature": 0.5,
                "top_p": 0.9,
                "stop": ["END"],
                "seed": 7,
                "num_ctx": 8192,
            },
            "think": "low",
            "format": schema,
            "keep_alive": "10m",
            "tools": [],
        }

    def test_request_without_params_only_forbids_truncation(self) -> None:
        sent = body()
        assert set(sent) == {"model", "messages", "stream", "truncate", "shift"}
        assert (sent["truncate"], sent["shift"]) == (False, False)
        assert body(truncate=True)["truncate"] is True

    @pytest.mark.parametrize(
        ("effort", "think"), [("none", False), ("minimal", "low"), ("high", "high"), ("max", "max")]
    )
    def test_reasoning_effort_becomes_think(self, effort: str, think: bool | str) -> None:
        assert body(reasoning_effort=effort)["think"] == think

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({"max_tokens": 100, "num_predict": 200}, "options.num_predict"),
            ({"temperature": 1, "options": {"temperature": 0}}, "options.temperature"),
            ({"reasoning_effort": "low", "think": False}, "think"),
            ({"messages": []}, "messages"),
        ],
    )
    def test_contradicting_params_are_refused_by_name(self, params: dict[str, Any], field: str) -> None:
        with pytest.raises(ProviderError) as caught:
            body(**params)
        assert caught.value.code == "bad_request"
        assert field in caught.value.message

    def test_system_text_and_images_are_encoded(self) -> None:
        image = ImagePart(media_type="image/png", data=b"\x89PNG")
        sent = body(
            Message(role="system", content="Be brief."),
            Message(role="user", content=(TextPart(text="Look:"), image, TextPart(text="What is it?"))),
        )
        assert sent["messages"][:2] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look:\n\nWhat is it?", "images": ["iVBORw=="]},
        ]

    def test_model_names_are_read_from_list(self) -> None:
        assert OLLAMA.model_names({"models": [{"name": "b:latest", "model": "b:latest"}, {"name": "a"}, {}, 7]}) == [
            "a",
            "b:latest",
        ]
        assert OLLAMA.model_names({"data": []}) == []


class TestAnswer:
    def test_thinking_text_and_usage_are_decoded(self) -> None:
        said, error = heard(
            lines(
                piece(role="assistant", content="", thinking="h"),
                piece(content="", thinking="m"),
                piece(content="Hel"),
                piece(content="lo"),
                END | COUNTS,
            )
        )
        assert error is None
        assert (text(said, "reasoning"), text(said)) == ("hm", "Hello")
        assert said[-2:] == [Usage(input_tokens=26, output_tokens=298), Completed(at=0.0, finish_reason="stop")]

    @pytest.mark.parametrize(
        ("reason", "word"),
        [("stop", "stop"), ("length", "length"), (None, "stop"), ("load", "load"), ("unload", "unload")],
    )
    def test_done_reason_becomes_finish_reason(self, reason: str | None, word: str) -> None:
        said, error = heard(lines(piece(content="x"), END | {"done_reason": reason}))
        assert (said[-1], error) == (Completed(at=0.0, finish_reason=word), None)

    def test_tool_calls_are_decoded(self) -> None:
        call = {"function": {"index": 0, "name": "look", "arguments": {"city": "Bern"}}}
        said, error = heard(lines(piece(content="", tool_calls=[call]), piece(tool_calls=[{**call, "id": "own"}]), END))
        assert error is None
        assert of(said, ToolCall) == [
            ToolCall(id="call_0", name="look", arguments='{"city":"Bern"}'),
            ToolCall(id="own", name="look", arguments='{"city":"Bern"}'),
        ]
        assert said[-1] == Completed(at=0.0, finish_reason="tool_calls")

    def test_lines_after_the_end_are_ignored(self) -> None:
        said, error = heard(lines(piece(content="x"), END, piece(content="late"), {"error": "late"}, "late"))
        assert (text(said), error) == ("x", None)

    def test_every_cut_yields_a_prefix_and_is_truncated(self) -> None:
        whole = lines(piece(thinking="Grüße"), piece(content="👩‍👩‍👧‍👦 "), piece(content="\u2028한국어"), END | COUNTS)
        for place in range(len(whole) - 1):  # the last line needs no end
            said, error = heard(whole[:place])
            assert "👩‍👩‍👧‍👦 \u2028한국어".startswith(text(said))
            assert error is not None
            assert error.code == "truncated"
            assert heard(whole[:place], whole[place:]) == heard(whole)


class TestErrors:
    @pytest.mark.parametrize(
        ("line", "code", "words"),
        [
            (
                {"error": "an error was encountered while running the model"},
                "provider_error",
                "while running the model",
            ),
            ({"error": 'model "x" not found, try pulling it first'}, "model_not_found", "try pulling it first"),
            ({"error": {"message": "busy", "code": 503}}, "provider_error", "busy"),
            ({"message": "no"}, "malformed_stream", "message"),
            ({"message": 7, "error": "odd"}, "provider_error", "odd"),
        ],
    )
    def test_error_in_stream_keeps_earlier_text(self, line: Any, code: str, words: str) -> None:
        said, error = heard(lines(piece(content="so far"), line, END))
        assert said == [Delta(channel="text", text="so far")]
        assert error is not None
        assert (error.code, words in error.message) == (code, True)


class TestService:
    async def test_job_is_sent_and_answer_is_decoded(self, provider: ScriptedProvider, connect: Connect) -> None:
        steps = tuple(Send(lines(value)) for value in (piece(content="one "), piece(content="two"), END | COUNTS))
        provider.routes["POST /v1/api/chat"] = Script(headers=LINES, steps=steps)
        said, error = await read(connect(format="ollama"))
        assert (text(said), error) == ("one two", None)
        request = await provider.request()
        assert request.headers["accept"] == "application/x-ndjson"
        assert "authorization" not in request.headers

    @pytest.mark.parametrize("words", ["model 'one' not found", 'model "one" not found, try pulling it first'])
    async def test_missing_model_is_model_not_found(
        self, provider: ScriptedProvider, connect: Connect, words: str
    ) -> None:
        provider.routes["POST /v1/api/chat"] = refusal(404, {"error": words})
        _, error = await read(connect(format="ollama"))
        assert error is not None
        assert (error.code, words in error.message) == ("model_not_found", True)

    async def test_broken_connection_is_truncated(self, provider: ScriptedProvider, connect: Connect) -> None:
        steps = (Send(lines(piece(content="one "))), Cut())
        provider.routes["POST /v1/api/chat"] = Script(headers=LINES, steps=steps)
        said, error = await read(connect(format="ollama"))
        assert text(said) == "one "
        assert error is not None
        assert error.code == "truncated"

    async def test_answer_completes_while_connection_stays_open(
        self, provider: ScriptedProvider, connect: Connect
    ) -> None:
        steps = (Send(lines(piece(content="one"), END)), Hold())
        provider.routes["POST /v1/api/chat"] = Script(headers=LINES, steps=steps)
        said, error = await read(connect(format="ollama"))
        assert (said[-1], error) == (Completed(at=0.0, finish_reason="stop"), None)
        await provider.quiet()  # its socket was closed

    async def test_status_lists_models(self, provider: ScriptedProvider, connect: Connect) -> None:
        listing = msgspec.json.encode({"models": [{"name": "gemma3:4b"}]})
        provider.routes["GET /v1/api/tags"] = Script(
            headers={"Content-Type": "application/json"}, steps=(Send(listing),)
        )
        status = await connect(format="ollama").status()
        assert (status.kind, status.models) == ("ollama", ("puppet/gemma3:4b",))
