"""OpenAI's Responses: the body of each request, and the list of models."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from providers.responses_samples import (
    FORMAT,
)
from providers.speaking import ERRORS, job

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.job import JobSpec
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart


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
