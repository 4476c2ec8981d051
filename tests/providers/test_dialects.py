"""The dialects of Chat Completions: requests with the names of each service, and hand-written streams."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from providers.conftest import Connect
from providers.speaking import ERRORS, STOP, decoded, delta, heard, job, of, read, sse, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, Usage
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers.formats import FORMATS, format_of
from jupyter_bgstream.providers.formats.dialects import DIALECTS, DialectName
from jupyter_bgstream.testing import ScriptedProvider, answer

SCHEMA = {"title": "A page", "type": "object", "properties": {"n": {"type": "integer"}}}
ALL = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 100,
    "stop": ["END"],
    "seed": 7,
    "reasoning_effort": "low",
    "schema": SCHEMA,
    "logit_bias": {"1": 2},
}
SENT = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "A_page", "schema": SCHEMA, "strict": False},
    },
    "logit_bias": {"1": 2},
}
COUNTED = {"stream_options": {"include_usage": True}}
EFFORT = {"reasoning_effort": "low"}
COMPLETION = {"max_completion_tokens": 100, "seed": 7, **EFFORT, **COUNTED}
PLAIN = {"max_tokens": 100, "seed": 7, **EFFORT, **COUNTED}

BODIES: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "openai": COMPLETION,
    "azure": COMPLETION,
    "openrouter": {
        "max_tokens": 100,
        "seed": 7,
        "reasoning": {"effort": "low"},
        "usage": {"include": True},
        "plugins": [{"id": "context-compression", "enabled": False}],
        **COUNTED,
    },
    "groq": COMPLETION,
    "deepseek": {"max_tokens": 100, **EFFORT, **COUNTED},
    "mistral": {"max_tokens": 100, "random_seed": 7, **EFFORT},
    "xai": COMPLETION,
    "perplexity": {"max_tokens": 100, **EFFORT},
    "cohere": {"max_tokens": 100, "seed": 7, **EFFORT},
    "cerebras": COMPLETION,
    "moonshot": COMPLETION,
    "vllm": PLAIN,
    "lmstudio": PLAIN,
    "llamacpp": {"max_tokens": 100, "seed": 7, "chat_template_kwargs": {"reasoning_effort": "low"}, **COUNTED},
}


def body(dialect: str = "plain", *, history: tuple[Message, ...] = (), **params: Any) -> dict[str, Any]:
    """Return the request body of a job with these params."""
    request = format_of("chat_completions", dialect).request(job(params=params, history=history), ERRORS)
    assert request.body is not None
    return dict(msgspec.json.decode(request.body))


def refusal(dialect: str = "plain", **params: Any) -> str:
    with pytest.raises(ProviderError) as caught:
        body(dialect, **params)
    assert caught.value.code == "bad_request"
    return caught.value.message


class TestRequest:
    @pytest.mark.parametrize("dialect", get_args(DialectName))
    def test_params_use_the_names_of_each_dialect(self, dialect: str) -> None:
        unsupported = DIALECTS[dialect].unsupported
        sent = body(dialect, **{name: value for name, value in ALL.items() if name not in unsupported})
        expected = BODIES[dialect] | {
            name: value for name, value in SENT.items() if not (name == "response_format" and "schema" in unsupported)
        }
        assert {name: sent[name] for name in sent if name not in ("model", "messages", "stream")} == expected

    @pytest.mark.parametrize(
        ("dialect", "name"), [(d, name) for d, spoken in DIALECTS.items() for name in spoken.unsupported]
    )
    def test_unsupported_param_is_refused_by_name(self, dialect: str, name: str) -> None:
        assert f"{DIALECTS[dialect].title} has no {name}" in refusal(dialect, **{name: ALL[name]})

    def test_request_without_params_has_only_required_fields(self) -> None:
        assert set(body()) == {"model", "messages", "stream", "stream_options"}
        assert set(body("mistral")) == {"model", "messages", "stream"}

    @pytest.mark.parametrize("dialect", ["deepseek", "moonshot"])
    def test_reasoning_effort_none_disables_thinking(self, dialect: str) -> None:
        sent = body(dialect, reasoning_effort="none")
        assert sent["thinking"] == {"type": "disabled"}
        assert "reasoning_effort" not in sent
        assert body(dialect, reasoning_effort="max")["reasoning_effort"] == "max"
        assert body("groq", reasoning_effort="none")["reasoning_effort"] == "none"

    @pytest.mark.parametrize("dialect", ["plain", "openai", "mistral"])
    def test_conflicting_token_limits_are_refused(self, dialect: str) -> None:
        words = refusal(dialect, max_tokens=100, max_completion_tokens=200)
        assert "contradict" in words
        assert "max_completion_tokens 200" in words
        sent = body(dialect, max_tokens=100, max_completion_tokens=100)
        assert [name for name in sent if name.startswith("max_")] == [DIALECTS[dialect].max_tokens]

    def test_native_param_name_is_passed_through(self) -> None:
        assert body(max_completion_tokens=100)["max_completion_tokens"] == 100
        assert body("openai", reasoning={"summary": "auto"})["reasoning"] == {"summary": "auto"}

    @pytest.mark.parametrize(
        ("dialect", "params", "field"),
        [
            ("plain", {"schema": SCHEMA, "response_format": {"type": "text"}}, "response_format.type"),
            ("plain", {"seed": 7, "random_seed": 8}, "random_seed"),
            ("openrouter", {"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning.effort"),
        ],
    )
    def test_contradicting_params_are_refused_by_name(self, dialect: str, params: dict[str, Any], field: str) -> None:
        assert field in refusal(dialect, **params)

    @pytest.mark.parametrize("name", FORMATS)
    def test_extra_body_is_merged_into_request(self, name: str) -> None:
        params = {"extra_body": {"guided_choice": ["a", "b"], "temperature": 0.5}, "seed": 7}
        if name in ("messages", "responses"):
            del params["seed"]  # they have none
        plain = params | params["extra_body"]  # type: ignore[operator]
        del plain["extra_body"]
        bodies = [FORMATS[name].request(job(params=given), ERRORS).body for given in (params, plain)]
        assert msgspec.json.decode(bodies[0] or b"") == msgspec.json.decode(bodies[1] or b"")
        assert b"guided_choice" in (bodies[0] or b"")

    def test_object_params_are_merged(self) -> None:
        sent = body("openrouter", reasoning_effort="low", reasoning={"exclude": True})
        assert sent["reasoning"] == {"effort": "low", "exclude": True}
        assert body(stream_options={"include_obfuscation": False})["stream_options"] == {
            "include_usage": True,
            "include_obfuscation": False,
        }

    @pytest.mark.parametrize(
        ("params", "words"),
        [
            ({"temperature": "hot"}, "params: temperature: Expected `float | null`, got `str`."),
            ({"temperature": 3}, "params: temperature: Expected `float` <= 2.0."),
            ({"max_tokens": 0}, "params: max_tokens: Expected `int` >= 1."),
            ({"reasoning_effort": "hardest"}, "params: reasoning_effort: Invalid enum value 'hardest'."),
            ({"schema": "object"}, "params: schema: Expected `object | null`, got `str`."),
            ({"input": "x"}, "params must not set input: the job itself does."),
            ({"extra_body": {"model": "x", "stream": False}}, "extra_body must not set model, stream: the job itself"),
            ({"extra_body": {"background": True}}, "extra_body must not set background"),
            ({"extra_body": ["x"]}, "extra_body must be an object"),
            ({"extra_body": {"temperature": "hot"}}, "params: temperature: Expected"),
            ({"extra_body": {"seed": 7}, "seed": 8}, "params contradict each other: seed is 7"),
        ],
    )
    def test_invalid_params_are_refused_before_sending(self, params: dict[str, Any], words: str) -> None:
        assert words in refusal(**params)

    @pytest.mark.parametrize(("title", "name"), [("A/B test!", "A_B_test_"), ("x" * 99, "x" * 64), (None, "answer")])
    def test_json_schema_name_comes_from_title(self, title: str | None, name: str) -> None:
        schema = {"type": "object"} | ({"title": title} if title else {})
        assert body(schema=schema)["response_format"]["json_schema"]["name"] == name

    def test_system_text_and_images_are_encoded(self) -> None:
        image = ImagePart(media_type="image/png", data=b"\x89PNG")
        sent = body(
            history=(
                Message(role="system", content="Be brief."),
                Message(role="user", content=(TextPart(text="Look:"), image)),
            )
        )
        assert sent["messages"][:2] == [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                ],
            },
        ]

    async def test_dialect_setting_of_endpoint_is_used(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("yes")
        said, error = await read(connect(dialect="openrouter"), job(params={"reasoning_effort": "high"}))
        assert (text(said), error) == ("yes", None)
        assert (await provider.request()).json["reasoning"] == {"effort": "high"}

    def test_dialects_apply_only_to_chat_completions(self) -> None:
        for name, format in FORMATS.items():
            assert (format_of(name, "openai") is format) == (name != "chat_completions")


def chunk(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


class TestFinish:
    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            ("STOP", "stop"),
            ("eos", "stop"),
            ("end_turn", "stop"),
            ("COMPLETE", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("MAX_TOKENS", "length"),
            ("model_length", "length"),
            ("function_call", "tool_calls"),
            ("tool_use", "tool_calls"),
            ("content_filter", "content_filter"),
            ("sensitive", "content_filter"),
            ("Refusal", "refusal"),
            ("Something_New", "something_new"),
        ],
    )
    def test_finish_reasons_are_normalized(self, word: str, reason: str) -> None:
        assert decoded(sse(chunk(word)))[-1] == Completed(at=0.0, finish_reason=reason)

    @pytest.mark.parametrize("word", ["", "null", " ", "None"])
    def test_empty_finish_reason_does_not_end_stream(self, word: str) -> None:
        said, error = heard(sse(chunk(word, content="yes")))
        assert text(said) == "yes"
        assert error is not None
        assert error.code == "truncated"
        assert text(decoded(sse(chunk(word, content="yes"), chunk(word, content="."), STOP))) == "yes."

    @pytest.mark.parametrize("word", ["error", "insufficient_system_resource", "network_error", "abort"])
    def test_error_finish_reason_is_transient_failure(self, word: str) -> None:
        said, error = heard(sse(chunk(content="so far"), chunk(word)))
        assert [type(event) for event in said] == [Delta]
        assert error is not None
        assert (error.code, error.transient) == ("provider_error", True)

    @pytest.mark.parametrize(("word", "reason"), [("stop", "refusal"), ("length", "length")])
    def test_refusal_becomes_text_and_finish_reason(self, word: str, reason: str) -> None:
        said = decoded(sse(chunk(refusal="I can"), chunk(refusal="not."), chunk(word)))
        assert (text(said), said[-1]) == ("I cannot.", Completed(at=0.0, finish_reason=reason))


class TestStreams:
    def test_openrouter_stream_is_decoded(self) -> None:
        details = [{"type": "reasoning.text", "text": "hm"}]
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "cost": 0.00078,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": 0.00078},
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        }
        said = decoded(
            b": OPENROUTER PROCESSING\n\n"
            + sse(
                chunk(role="assistant", content="", reasoning="hm", reasoning_details=details),
                chunk(content="", reasoning=None, reasoning_details=[{"type": "reasoning.encrypted", "data": "x"}]),
                chunk(content="yes", images=[image]),
                chunk("stop", content=""),
                {**chunk(content=""), "usage": usage},
            )
        )
        assert (text(said, "reasoning"), text(said)) == ("hm", "yes")
        assert of(said, Usage) == [
            Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=2, cost=0.00078)
        ]

    def test_openrouter_reasoning_details_become_reasoning(self) -> None:
        details = [{"type": "reasoning.summary", "summary": "h"}, {"type": "reasoning.text", "text": "m"}, 7, {}]
        assert text(decoded(sse(chunk(reasoning_details=details), STOP)), "reasoning") == "hm"

    def test_azure_filtered_stream_is_decoded(self) -> None:
        filtered = {"hate": {"filtered": False, "severity": "safe"}}
        said = decoded(
            sse(
                {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": filtered}]},
                {
                    "choices": [
                        {"index": 0, "delta": {"role": "assistant", "content": ""}, "content_filter_results": {}}
                    ]
                },
                {"choices": [{"index": 0, "delta": {"content": "yes"}, "content_filter_results": filtered}]},
                {
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": None,
                            "content_filter_offsets": {"check_offset": 44},
                            "content_filter_result": {"error": {"code": "content_filter_error", "message": "x"}},
                        }
                    ]
                },
                chunk("content_filter"),
            )
        )
        assert said == [Delta(channel="text", text="yes"), Completed(at=0.0, finish_reason="content_filter")]

    def test_perplexity_repeated_message_is_not_duplicated(self) -> None:
        found = {"search_results": [{"title": "A", "url": "https://a.example"}], "citations": ["https://a.example"]}
        usage = {
            "prompt_tokens": 7,
            "completion_tokens": 20,
            "total_tokens": 27,
            "citation_tokens": 60,
            "reasoning_tokens": 90,
            "cost": {"input_tokens_cost": 0.1, "request_cost": 0.005, "total_cost": 0.123},
        }

        def said_so_far(words: str, new: str, finish: str | None = None) -> dict[str, Any]:
            message = {"role": "assistant", "content": words}
            choice = {"index": 0, "delta": {"content": new}, "message": message, "finish_reason": finish}
            return {"choices": [choice], "usage": usage, **found}

        said = decoded(sse(said_so_far("Yes", "Yes"), said_so_far("Yes.", "."), said_so_far("Yes.", "", "stop")))
        assert text(said) == "Yes."
        assert of(said, Citation) == [Citation(url="https://a.example", title="A")]
        assert of(said, Usage) == [Usage(input_tokens=7, output_tokens=110, reasoning_tokens=90, cost=0.123)]

    def test_message_without_deltas_becomes_the_answer(self) -> None:
        message = {
            "role": "assistant",
            "content": "yes",
            "annotations": [{"url_citation": {"url": "https://a.example"}}],
        }
        said = decoded(sse({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
        assert (text(said), of(said, Citation)) == ("yes", [Citation(url="https://a.example")])

    def test_mistral_content_parts_are_decoded(self) -> None:
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}
        said = decoded(
            sse(
                chunk(role="assistant", content=""),
                chunk(content=[thought]),
                chunk(content=[{"type": "text", "text": "ye"}, {"type": "reference", "reference_ids": [1]}]),
                {**chunk("model_length", content="s"), "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            )
        )
        assert (text(said, "reasoning"), text(said)) == ("hm", "yes")
        assert said[-2:] == [Usage(input_tokens=3, output_tokens=4), Completed(at=0.0, finish_reason="length")]

    def test_xai_cost_ticks_become_dollars(self) -> None:
        usage = {"prompt_tokens": 12, "completion_tokens": 2, "cost_in_usd_ticks": 37756000}
        assert of(decoded(sse(STOP, {"choices": [], "usage": usage})), Usage)[0].cost == pytest.approx(0.0037756)

    def test_moonshot_usage_is_read_from_choice(self) -> None:
        end = chunk("stop")
        end["choices"][0]["usage"] = {"prompt_tokens": 19, "completion_tokens": 13, "cached_tokens": 5}
        said = decoded(sse(chunk(reasoning_content="hm"), chunk(content="yes"), end))
        assert of(said, Usage) == [Usage(input_tokens=19, output_tokens=13, cached_tokens=5)]

    def test_llamacpp_stream_without_done_completes_with_usage(self) -> None:
        timings = {"cache_n": 5, "prompt_n": 10, "prompt_ms": 3.5, "predicted_n": 7, "predicted_per_second": 50.1}
        ended = {**chunk("stop"), "timings": timings}
        said = decoded(sse(chunk(role="assistant", content=None), delta(reasoning_content="hm"), ended, done=False))
        assert said[-2:] == [
            Usage(input_tokens=15, output_tokens=7, cached_tokens=5),
            Completed(at=0.0, finish_reason="stop"),
        ]
        counted = {"choices": [], "usage": {"prompt_tokens": 15, "completion_tokens": 8}}
        assert of(decoded(sse(ended, counted)), Usage) == [Usage(input_tokens=15, output_tokens=8)]

    def test_cohere_stream_is_decoded(self) -> None:
        said = decoded(sse(chunk(role="assistant", content=""), chunk(content="yes"), chunk("COMPLETE")))
        assert said == [Delta(channel="text", text="yes"), Completed(at=0.0, finish_reason="stop")]

    @pytest.mark.parametrize(
        ("usage", "cost"),
        [
            ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, 0.21),
            ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 0.01),
            ({"cost": 0}, 0.0),
            ({"cost": True}, None),
            ({"cost": -1}, None),
            ({"cost": "free"}, None),
            ({"cost": {"total_cost": None}}, None),
            ({"cost_in_usd_ticks": 10**400}, None),
        ],
    )
    def test_reported_cost_is_parsed_and_not_estimated(self, usage: dict[str, Any], cost: float | None) -> None:
        (found,) = of(decoded(sse({**STOP, "usage": {"prompt_tokens": 1, **usage}})), Usage)
        assert found.cost == (None if cost is None else pytest.approx(cost))
        assert not found.cost_estimated
