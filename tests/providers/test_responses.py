"""The Responses format: requests, and the decoding of every event in any pieces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from providers.speaking import ERRORS, cut_at_random, job, of, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.core.job import JobSpec
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers.formats.openai_responses import Responses
from jupyter_bgstream.providers.port import ProviderEvent, Resume
from jupyter_bgstream.testing.scripts import event

FORMAT = Responses()
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 50,
}
COUNTED = Usage(input_tokens=20, output_tokens=30, cached_tokens=5, reasoning_tokens=12)


def stream(*events: dict[str, Any], background: bool = False, number: int = 0) -> list[bytes]:
    """Return the numbered events of a stream, each with its `event:` line, after response.created."""
    begun = {"type": "response.created", "response": {"id": "resp_1", "status": "queued", "background": background}}
    return [event({"sequence_number": n} | it, it["type"]) for n, it in enumerate([begun, *events], number)]


def delta(kind: str, piece: str, item: int = 0, part: int = 0) -> dict[str, Any]:
    index = "summary_index" if "summary" in kind else "content_index"
    return {"type": f"response.{kind}.delta", "output_index": item, index: part, "item_id": f"i{item}", "delta": piece}


def done(kind: str, whole: str, item: int = 0, part: int = 0) -> dict[str, Any]:
    index = "summary_index" if "summary" in kind else "content_index"
    name = "refusal" if kind == "refusal" else "text"
    return {"type": f"response.{kind}.done", "output_index": item, index: part, "item_id": f"i{item}", name: whole}


def item(found: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": found}


def message(*texts: str, refusal: str = "", annotations: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "output_text", "text": it, "annotations": [*annotations]} for it in texts]
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": parts}


def end(*output: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": status, "output": [*output], "usage": USAGE} | fields
    return {"type": f"response.{status}", "response": response}


def heard(pieces: Iterable[bytes], token: str | None = None) -> tuple[list[ProviderEvent], ProviderError | None]:
    decoder = FORMAT.decoder(ERRORS, token)
    said = [event for piece in pieces for event in decoder.feed(piece)]
    return [*said, *decoder.close()], decoder.error


def decoded(pieces: Iterable[bytes], token: str | None = None) -> list[ProviderEvent]:
    said, error = heard(pieces, token)
    if error is not None:
        raise error
    return said


def citation(url: str, title: str = "") -> dict[str, Any]:
    return {"type": "url_citation", "url": url, "title": title, "start_index": 0, "end_index": 1}


PLAIN = [delta("output_text", "Hello, "), delta("output_text", "weiß 🦉"), done("output_text", "Hello, weiß 🦉")]
THOUGHT = [
    delta("reasoning_summary_text", "First"),
    delta("reasoning_summary_text", " this."),
    done("reasoning_summary_text", "First this."),
    delta("reasoning_summary_text", "Then that.", part=1),
    done("reasoning_summary_text", "Then that.", part=1),
    item({"type": "reasoning", "id": "i0", "summary": [{"text": "First this."}, {"text": "Then that."}]}),
]
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at": "it"}'}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "x", "sources": [{"type": "url", "url": "https://a.example/"}]},
}
NOTED = [
    {
        "type": "response.output_text.annotation.added",
        "output_index": 1,
        "content_index": 0,
        "annotation": citation("https://b.example/", "B"),
    }
]
EVERYTHING = stream(
    {"type": "response.queued", "response": {"id": "resp_1", "status": "queued"}},
    {"type": "response.in_progress", "response": {"id": "resp_1", "status": "in_progress"}},
    *THOUGHT,
    item(SEARCH, 1),
    {"type": "response.output_item.added", "output_index": 2, "item": message()},
    {"type": "response.content_part.added", "output_index": 2, "content_index": 0, "part": {"type": "output_text"}},
    *PLAIN,
    *NOTED,
    {"type": "response.content_part.done", "output_index": 2, "content_index": 0, "part": {"text": "Hello, weiß 🦉"}},
    item(message("Hello, weiß 🦉", annotations=[citation("https://b.example/", "B")]), 2),
    {"type": "response.function_call_arguments.delta", "output_index": 3, "item_id": "fc_1", "delta": '{"at"'},
    {"type": "response.function_call_arguments.done", "output_index": 3, "item_id": "fc_1", "arguments": "{}"},
    item(CALL, 3),
    {"type": "response.some_event_of_next_year", "delta": {"not": "a text"}, "item": 7},
    end(THOUGHT[-1]["item"], SEARCH, message("Hello, weiß 🦉"), CALL),
)
SAID = [
    Delta(channel="reasoning", text="First"),
    Delta(channel="reasoning", text=" this."),
    Delta(channel="reasoning", text="\n\nThen that."),
    Delta(channel="text", text="Hello, "),
    Delta(channel="text", text="weiß 🦉"),
    Citation(url="https://b.example/", title="B"),
    ToolCall(id="call_1", name="look", arguments='{"at": "it"}'),
    Citation(url="https://a.example/"),
    COUNTED,
    Completed(at=0.0, finish_reason="tool_calls"),
]


def test_every_event_is_decoded_once() -> None:
    assert decoded(EVERYTHING) == SAID


@pytest.mark.parametrize("seed", range(5))
def test_stream_in_pieces_decodes_the_same(seed: int) -> None:
    whole = b"".join(EVERYTHING)
    assert decoded(cut_at_random(whole, seed)) == SAID
    assert decoded(bytes([byte]) for byte in whole) == SAID


@pytest.mark.parametrize("place", range(len(EVERYTHING)))
def test_stream_cut_at_any_event_is_truncated(place: int) -> None:
    said, error = heard(EVERYTHING[:place])
    assert error is not None
    assert error.code == "truncated"
    assert not of(said, Completed)
    said, error = heard([*EVERYTHING[:place], event("[DONE]")])
    assert error is not None


def test_events_after_the_end_are_ignored() -> None:
    late = stream(delta("output_text", "too late"), number=99)
    assert decoded([*EVERYTHING, event("[DONE]"), *late]) == SAID


@pytest.mark.parametrize(
    ("kind", "channel", "whole"),
    [
        ("output_text", "text", message("Hi.")),
        ("refusal", "text", message(refusal="Hi.")),
        ("reasoning_text", "reasoning", {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hi."}]}),
        ("reasoning_summary_text", "reasoning", {"type": "reasoning", "summary": [{"text": "Hi."}]}),
    ],
)
def test_text_is_decoded_once_from_any_form(kind: str, channel: Any, whole: dict[str, Any]) -> None:
    by_deltas, by_done, by_end = [delta(kind, "H"), delta(kind, "i.")], [done(kind, "Hi.")], [end(whole)]
    for events in (
        [*by_deltas, *by_done, item(whole), *by_end],
        [*by_deltas, end()],
        [*by_deltas[:1], *by_done, *by_end],
        [*by_done, *by_end],
        by_end,
        [*by_deltas[:1], *by_end],
    ):
        assert text(decoded(stream(*events)), channel) == "Hi."


def test_differing_final_text_is_ignored() -> None:
    said = decoded(stream(*PLAIN[:2], done("output_text", "Something else, and longer"), end(message("Quite " * 9))))
    assert text(said) == "Hello, weiß 🦉"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (end(message("x")), "stop"),
        (end(message(refusal="No.")), "refusal"),
        (end(CALL), "tool_calls"),
        (end({"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "in"}), "tool_calls"),
        (end({"type": "custom_tool_call", "call_id": "c", "name": "n"}, message("Done.")), "stop"),
        (end({"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}, message("Done.")), "stop"),
        (end(message("I look."), {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}), "tool_calls"),
        (end({"type": "function_call", "call_id": "c", "name": "n"}, message("Wait.")), "tool_calls"),
        (end({"type": "mcp_approval_request", "id": "m", "name": "n", "arguments": "{}"}), "tool_calls"),
        (end({"type": "tool_search_call", "id": "t", "execution": "client"}), "tool_calls"),
        (end({"type": "tool_search_call", "id": "t", "execution": "server"}, message("Done.")), "stop"),
        (end({"type": "mcp_call", "id": "m", "name": "n", "arguments": "{}"}), "stop"),
        (end(SEARCH), "stop"),
        (end(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (end(status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (end(status="incomplete", incomplete_details={"reason": "Max_Messages"}), "max_messages"),
        (end(status="incomplete", incomplete_details=None), "incomplete"),
    ],
)
def test_finish_reason_follows_status_and_output(last: dict[str, Any], reason: str) -> None:
    assert decoded(stream(last))[-1] == Completed(at=0.0, finish_reason=reason)


def test_refusal_becomes_text_and_finish_reason() -> None:
    said = decoded(stream(delta("refusal", "I "), delta("refusal", "won't."), done("refusal", "I won't."), end()))
    assert (text(said), said[-1]) == ("I won't.", Completed(at=0.0, finish_reason="refusal"))


@pytest.mark.parametrize(
    ("found", "call"),
    [
        ({"type": "custom_tool_call", "id": "x", "call_id": "c", "name": "n", "input": "a b"}, ("c", "n", "a b")),
        ({"type": "mcp_approval_request", "id": "m", "name": "n", "arguments": "{}"}, ("m", "n", "{}")),
        ({"type": "mcp_approval_request", "id": "m"}, ("m", "mcp_approval", "")),
        ({"type": "mcp_call", "id": "m", "name": "n", "arguments": "{}"}, ("m", "n", "{}")),
        ({"type": "file_search_call", "id": "f", "queries": ["q"]}, ("f", "file_search", '["q"]')),
        ({"type": "code_interpreter_call", "id": "i", "code": "1+1"}, ("i", "code_interpreter", "1+1")),
        ({"type": "computer_call", "call_id": "c", "action": {"type": "wait"}}, ("c", "computer", '{"type":"wait"}')),
        ({"type": "function_call", "name": "n", "arguments": "{}"}, ("call_0", "n", "{}")),
    ],
)
def test_other_calls_become_tool_calls(found: dict[str, Any], call: tuple[str, str, str]) -> None:
    (shown,) = of(decoded(stream(item(found), end(found) if "call_0" not in call else end())), ToolCall)
    assert (shown.id, shown.name, shown.arguments) == call


@pytest.mark.parametrize(
    ("last", "code", "transient"),
    [
        # As the SDK's types have it, and as the service sends it.
        ({"type": "error", "code": "server_error", "message": "Oops.", "param": None}, "provider_error", True),
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "Oops."}}, "rate_limited", False),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "Oops."}}, "bad_request", False),
        (end(status="failed", error={"code": "server_error", "message": "Oops."}), "provider_error", True),
        (end(status="failed", error={"code": "rate_limit_exceeded", "message": "Oops."}), "rate_limited", True),
        (end(status="failed", error={"code": "invalid_prompt", "message": "Oops."}), "bad_request", False),
        (end(status="failed", error={"code": "vector_store_timeout", "message": "Oops."}), "provider_error", True),
        *[
            (end(status="failed", error={"code": code, "message": "Oops."}), "bad_request", False)
            for code in [
                "invalid_image",
                "invalid_image_format",
                "invalid_base64_image",
                "invalid_image_url",
                "image_too_large",
                "image_too_small",
                "image_parse_error",
                "image_content_policy_violation",
                "invalid_image_mode",
                "image_file_too_large",
                "unsupported_image_media_type",
                "empty_image_file",
                "failed_to_download_image",
                "image_file_not_found",
                "bio_policy",
                "misalignment_policy_violation",
                "data_residency_mismatch",
            ]
        ],
        (end(status="failed", error=None), "provider_error", True),
        (end(status="cancelled"), "provider_error", False),
    ],
)
def test_error_maps_to_code_and_transience(last: dict[str, Any], code: str, transient: bool) -> None:
    said, error = heard(stream(delta("output_text", "Half"), last))
    assert error is not None
    assert (error.code, error.transient, text(said)) == (code, transient, "Half")
    assert "Oops." in error.message or last["response"]["status"] == "cancelled" or not last["response"]["error"]
    assert not of(said, Completed)


def test_usage_of_failed_answer_is_yielded() -> None:
    said, error = heard(stream(end(status="failed", error={"code": "server_error", "message": "Oops."})))
    assert error is not None
    assert of(said, Usage) == [COUNTED]


@pytest.mark.parametrize("bad", ["{nonsense", '{"type": "response.output_text.delta", "delta": 5}'])
def test_unreadable_event_is_malformed(bad: str) -> None:
    said, error = heard([*stream(*PLAIN), event(bad)])
    assert error is not None
    assert (error.code, text(said)) == ("malformed_stream", "Hello, weiß 🦉")


@pytest.mark.parametrize("idle", ["[1]", '{"type": 7}', '"text"', '{"sequence_number": "x"}'])
def test_unknown_payloads_are_ignored(idle: str) -> None:
    said, error = heard([*stream(*PLAIN), event(idle), *stream(end())])
    assert (error, text(said)) == (None, "Hello, weiß 🦉")


@pytest.mark.parametrize(
    "odd",
    [
        {
            "type": "response.completed",
            "response": {"output": [None, 3, {"type": 3}, {"type": "message", "content": 1}]},
        },
        {"type": "response.completed", "response": {"output": {"a": 1}, "usage": [1], "incomplete_details": 5}},
        {"type": "response.completed"},
        {"type": "response.incomplete", "response": {"incomplete_details": {"reason": 4}}},
        {"type": "response.completed", "response": {"output": [{"type": "message", "content": [None, {"text": 4}]}]}},
    ],
)
def test_unexpected_shapes_still_complete(odd: dict[str, Any]) -> None:
    strange = [delta("output_text", ""), item({"type": None}), {"type": "response.created"}]
    assert isinstance(decoded(stream(*strange, odd))[-1], Completed)


# Going on elsewhere


NOTE = NOTED[0]["annotation"]
OUTPUT = [THOUGHT[-1]["item"], SEARCH, message("Hello, weiß 🦉", annotations=[NOTE]), CALL, message(refusal="No")]
WHOLE = {"id": "resp_1", "status": "completed", "usage": USAGE, "output": OUTPUT}
KEPT = stream(
    *THOUGHT, item(SEARCH, 1), *PLAIN, *NOTED, item(CALL, 3), delta("refusal", "No", 4), end(*OUTPUT), background=True
)


def unmarked(said: Iterable[ProviderEvent]) -> list[ProviderEvent]:
    return [event for event in said if not isinstance(event, Resume)]


def joined(said: Iterable[ProviderEvent]) -> tuple[Any, ...]:
    said = [*said]
    others = sorted(str(it) for it in said if isinstance(it, Citation | ToolCall))
    return text(said), text(said, "reasoning"), others, said[-2:]


def test_only_background_answers_yield_resume_tokens() -> None:
    assert not of(decoded(EVERYTHING), Resume)  # type: ignore[arg-type]
    decoder = FORMAT.decoder(ERRORS)
    for piece in KEPT:
        said = decoder.feed(piece)
        assert isinstance(said[-1], Resume) if said else True
        assert sum(isinstance(it, Resume) for it in said) <= 1
    assert isinstance(FORMAT.decoder(ERRORS).feed(KEPT[0])[0], Resume)  # from the first moment


def test_unnumbered_events_yield_no_resume_token() -> None:
    begun = {"type": "response.created", "response": {"id": "resp_1", "status": "queued", "background": True}}
    said, error = heard([event(it, str(it["type"])) for it in (begun, delta("output_text", "one "))])
    assert not of(said, Resume)  # type: ignore[arg-type]  # all of it would be said twice
    assert error is not None


@pytest.mark.parametrize("place", range(1, len(KEPT) + 1))
@pytest.mark.parametrize("again", [0, 3], ids=["on time", "some events twice"])
def test_resume_from_any_token_has_no_gap_or_duplicate(place: int, again: int) -> None:
    decoder = FORMAT.decoder(ERRORS)
    before = [it for piece in KEPT[:place] for it in decoder.feed(piece)]
    (token,) = [it.token for it in before if isinstance(it, Resume)][-1:]
    # What is stored may be older than what was read, but covers all that was said.
    after = int(FORMAT.resume(token).path.rpartition("=")[2])
    assert after < place
    rest = decoded(KEPT[max(1, after + 1 - again) :], token)
    assert joined([*unmarked(before), *unmarked(rest)]) == joined(unmarked(decoded(KEPT)))


@pytest.mark.parametrize("place", range(1, len(KEPT)))
def test_snapshot_from_any_token_completes_the_answer(place: int) -> None:
    decoder = FORMAT.decoder(ERRORS)
    before = [it for piece in KEPT[:place] for it in decoder.feed(piece)]
    (token,) = [it.token for it in before if isinstance(it, Resume)][-1:]
    looking = FORMAT.decoder(ERRORS, token)
    assert looking.apply_snapshot(WHOLE | {"status": "in_progress"}) == []
    assert not looking.ended
    rest = [*looking.apply_snapshot(WHOLE), *looking.close()]
    assert joined([*unmarked(before), *unmarked(rest)]) == joined(unmarked(decoded(KEPT)))


def test_snapshot_of_failed_answer_is_provider_error() -> None:
    (token,) = [it.token for it in FORMAT.decoder(ERRORS).feed(KEPT[0]) if isinstance(it, Resume)]
    decoder = FORMAT.decoder(ERRORS, token)
    decoder.apply_snapshot({"status": "failed", "error": {"code": "server_error", "message": "Oops."}})
    decoder.close()
    assert decoder.error is not None
    assert decoder.error.code == "provider_error"


def test_resume_paths_escape_the_response_id() -> None:
    decoder = FORMAT.decoder(ERRORS)
    begun = {"type": "response.created", "response": {"id": "../a b?", "background": True}, "sequence_number": 0}
    (mark,) = decoder.feed(event(begun))
    assert isinstance(mark, Resume)
    assert FORMAT.resume(mark.token).path == "/responses/..%2Fa%20b%3F?stream=true&starting_after=0"
    assert FORMAT.retrieve(mark.token).path == "/responses/..%2Fa%20b%3F"
    assert FORMAT.cancel(mark.token).path == "/responses/..%2Fa%20b%3F/cancel"


# What is asked


def asked(*messages: Message, lasting: bool = False, **params: Any) -> dict[str, Any]:
    what = job(params=params)
    if messages:
        what = msgspec.structs.replace(what, spec=JobSpec(model="puppet/one", messages=messages, params=params))
    ask = FORMAT.background_request if lasting else FORMAT.request
    request = ask(what, ERRORS)
    assert (request.path, request.body is not None) == ("/responses", True)
    return dict(msgspec.json.decode(request.body or b""))


def test_request_body_sets_background_and_store() -> None:
    assert asked() == {
        "model": "one",
        "input": [{"role": "user", "content": "What is a log?"}],
        "stream": True,
        "store": False,
    }
    kept = asked(lasting=True)
    assert (kept["background"], kept["store"]) == (True, True)
    kept = asked(store=True)
    assert ("background" in kept, kept["store"]) == (False, True)


def test_params_of_job_override_background_and_store() -> None:
    private = asked(lasting=True, background=False)
    assert ("background" in private, private["store"]) == (False, False)
    kept = asked(background=True)
    assert (kept["background"], kept["store"]) == (True, True)
    brief = asked(lasting=True, store=False)  # the service keeps it for some minutes all the same
    assert (brief["background"], brief["store"]) == (True, False)


def test_turns_and_images_are_encoded() -> None:
    image = ImagePart(media_type="image/png", data=b"\x89PNG")
    body = asked(
        Message(role="system", content="Be brief."),
        Message(role="user", content=(TextPart(text="What is this?"), image)),
        Message(role="assistant", content=(TextPart(text="A picture."),)),
        Message(role="user", content="Of what?"),
    )
    assert body["input"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": image.url, "detail": "auto"},
            ],
        },
        {"role": "assistant", "content": "A picture."},
        {"role": "user", "content": "Of what?"},
    ]


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
LOOSE = {"type": "object", "properties": {"a": STRICT, "b": {"type": "string"}}, "required": ["a"]}


def closed(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": value}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (closed(STRICT), True),
        (closed({"anyOf": [STRICT, {"type": "null"}]}), True),
        (closed({"type": "array", "items": STRICT}), True),
        (closed({"type": "object"}), False),
        (closed({"type": "object", "additionalProperties": {"type": "string"}}), False),
        (closed({"oneOf": [STRICT, {"type": "null"}]}), False),
        (closed({"allOf": [STRICT]}), False),
        (closed(LOOSE), False),
        ({"type": "object"}, False),
    ],
)
def test_schema_is_strict_only_where_supported(schema: dict[str, Any], strict: bool) -> None:
    assert asked(schema=schema)["text"]["format"]["strict"] is strict


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (
            {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7},
            {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 7},
        ),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}),
        (
            {"reasoning_effort": "low", "reasoning": {"summary": None}},
            {"reasoning": {"effort": "low", "summary": None}},
        ),
        ({"reasoning": {"summary": "detailed"}}, {"reasoning": {"summary": "detailed"}}),
        (
            {"schema": STRICT, "text": {"verbosity": "low"}},
            {
                "text": {
                    "format": {"type": "json_schema", "name": "answer", "schema": STRICT, "strict": True},
                    "verbosity": "low",
                }
            },
        ),
        (
            {"schema": LOOSE},
            {"text": {"format": {"type": "json_schema", "name": "answer", "schema": LOOSE, "strict": False}}},
        ),
        ({"tools": [{"type": "web_search"}]}, {"tools": [{"type": "web_search"}]}),
    ],
)
def test_params_are_encoded(params: dict[str, Any], fields: dict[str, Any]) -> None:
    assert asked(**params) == asked() | fields


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"stop": "x"}, "no stop"),
        ({"seed": 1, "stop": ["x"]}, "no stop and no seed"),
        ({"max_tokens": 5, "max_output_tokens": 6}, "max_output_tokens"),
        ({"background": "yes"}, "background"),
        ({"input": "x"}, "input"),
        ({"temperature": 9}, "temperature"),
    ],
)
def test_invalid_params_are_refused_by_name(params: dict[str, Any], word: str) -> None:
    with pytest.raises(ProviderError) as caught:
        asked(**params)
    assert caught.value.code == "bad_request"
    assert word in caught.value.message


def test_model_names_are_read_from_list() -> None:
    assert FORMAT.model_names({"data": [{"id": "b"}, {"id": "a"}, {}, 3]}) == ["a", "b"]
    assert FORMAT.model_names([{"id": "b"}]) == ["b"]
    assert FORMAT.model_names({"data": None}) == FORMAT.model_names(None) == []


def test_calls_before_a_message_do_not_end_in_tool_calls() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "in"}
    for items, reason in (((call, message("Done.")), "stop"), ((message("I look."), call), "tool_calls")):
        events = [item(each, place) for place, each in enumerate(items)]
        assert decoded(stream(*events, {"type": "response.completed", "response": {}}))[-1].finish_reason == reason
        whole = end(*items)
        assert decoded(stream(*events, whole))[-1].finish_reason == reason
