"""Files, audio, cache control and tools in requests of each format, validated by the types of the SDKs."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest
from anthropic.types import MessageParam, TextBlockParam
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from providers.speaking import ERRORS, job
from pydantic import TypeAdapter

from jupyter_bgstream.core.errors import InvalidRequestError, ProviderError
from jupyter_bgstream.core.job import JobSpec
from jupyter_bgstream.core.messages import AudioPart, CacheControl, FilePart, FunctionCall, Message, TextPart
from jupyter_bgstream.providers.context_window import certain_overflow
from jupyter_bgstream.providers.formats import FORMATS, format_of
from jupyter_bgstream.providers.formats.dialects import DIALECTS, DialectName
from jupyter_bgstream.providers.plugins import generator
from jupyter_bgstream.providers.registry import Registry

PDF = FilePart(media_type="application/pdf", name="report.pdf", data=b"%PDF-1.7")
CSV = FilePart(media_type="text/csv", name="rates.csv", data=b"a,b\n1,2\n")
WAV = AudioPart(media_type="audio/wav", data=b"RIFF....WAVE")
MP3 = AudioPart(media_type="audio/mpeg", data=b"ID3")
WORDS = TextPart(text="What is this?")

PDF_DATA, WAV_DATA, MP3_DATA = (b64encode(part.data).decode() for part in (PDF, WAV, MP3))
PDF_URL = f"data:application/pdf;base64,{PDF_DATA}"
CSV_TEXT = "File rates.csv:\n\n```\na,b\n1,2\n```"


def body(format: str, *history: Message, dialect: DialectName = "plain", model: str = "one") -> dict[str, Any]:
    request = format_of(format, dialect).request(job(f"puppet/{model}", history=history), ERRORS)
    decoded: dict[str, Any] = msgspec.json.decode(request.body or b"")
    return decoded


def user(*parts: Any) -> Message:
    return Message(role="user", content=parts)


def plain(value: Any) -> Any:
    """Return a validated value as plain data; the types of the SDKs validate lists while they are read."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [plain(each) for each in value]


def assert_known(type_: Any, values: list[Any]) -> None:
    """Assert that the type of the SDK accepts the values and drops no field as unknown."""
    adapter = TypeAdapter(type_)  # lists of what it returns are validated by it when they are read
    for value in values:
        assert plain(adapter.validate_python(value)) == value


class TestFiles:
    def test_files_are_encoded_for_chat_completions(self) -> None:
        first, *_ = sent = body("chat_completions", user(PDF, CSV, WAV, MP3, WORDS))["messages"]
        assert first["content"] == [
            {"type": "file", "file": {"filename": "report.pdf", "file_data": PDF_URL}},
            {"type": "text", "text": CSV_TEXT},
            {"type": "input_audio", "input_audio": {"data": WAV_DATA, "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": MP3_DATA, "format": "mp3"}},
            {"type": "text", "text": "What is this?"},
        ]
        assert_known(ChatCompletionMessageParam, sent)

    def test_files_are_encoded_for_responses(self) -> None:
        first, *_ = sent = body("responses", user(PDF, CSV, WORDS))["input"]
        assert first["content"] == [
            {"type": "input_file", "filename": "report.pdf", "file_data": PDF_URL},
            {"type": "input_text", "text": CSV_TEXT},
            {"type": "input_text", "text": "What is this?"},
        ]
        assert_known(ResponseInputItemParam, sent)

    def test_files_are_encoded_for_messages(self) -> None:
        first, *_ = sent = body("messages", user(PDF, CSV, WORDS))["messages"]
        assert first["content"] == [
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
                "title": "report.pdf",
            },
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b\n1,2\n"},
                "title": "rates.csv",
            },
            {"type": "text", "text": "What is this?"},
        ]
        assert_known(MessageParam, sent)

    def test_files_are_encoded_for_gemini(self) -> None:
        assert body("gemini", user(PDF, CSV, WAV, MP3, WORDS))["contents"][0]["parts"] == [
            {"inlineData": {"mimeType": "application/pdf", "data": PDF_DATA}},
            {"text": CSV_TEXT},
            {"inlineData": {"mimeType": "audio/wav", "data": WAV_DATA}},
            {"inlineData": {"mimeType": "audio/mp3", "data": MP3_DATA}},
            {"text": "What is this?"},
        ]

    def test_files_are_encoded_for_ollama(self) -> None:
        assert body("ollama", user(CSV, WORDS))["messages"][0] == {
            "role": "user",
            "content": f"{CSV_TEXT}\n\nWhat is this?",
        }

    def test_files_are_encoded_for_mistral_and_perplexity(self) -> None:
        (pdf, audio) = body("chat_completions", user(PDF, WAV), dialect="mistral")["messages"][0]["content"]
        assert pdf == {"type": "document_url", "document_url": PDF_URL, "document_name": "report.pdf"}
        assert audio == {"type": "input_audio", "input_audio": WAV_DATA}
        (pdf,) = body("chat_completions", user(PDF), dialect="perplexity")["messages"][0]["content"]
        assert pdf == {"type": "file_url", "file_url": {"url": PDF_DATA}, "file_name": "report.pdf"}

    @pytest.mark.parametrize("format", ["chat_completions", "responses"])
    def test_pdf_name_gets_its_missing_extension(self, format: str) -> None:
        unnamed = msgspec.structs.replace(PDF, name="report")
        assert '"filename":"report.pdf"' in msgspec.json.encode(body(format, user(unnamed))).decode()

    def test_files_reach_plugins_as_chat_completions_parts(self) -> None:
        marked = msgspec.structs.replace(CSV, cache_control=CacheControl(type="ephemeral"))
        assert generator._message(user(PDF, marked))["content"] == [
            {"type": "file", "file": {"filename": "report.pdf", "file_data": PDF_URL}},
            {"type": "text", "text": CSV_TEXT, "cache_control": {"type": "ephemeral"}},
        ]


NO_PDF = {"groq", "deepseek", "xai", "cohere", "cerebras", "moonshot", "vllm", "lmstudio", "llamacpp"}
NO_AUDIO = {"groq", "deepseek", "xai", "cohere", "cerebras", "moonshot", "perplexity", "lmstudio"}
SERVICES = [("chat_completions", dialect) for dialect in DIALECTS] + [
    (name, "plain") for name in FORMATS if name != "chat_completions"
]


class TestUnsupportedParts:
    @pytest.mark.parametrize(("format", "dialect"), SERVICES)
    def test_each_part_is_sent_or_refused(self, format: str, dialect: DialectName) -> None:
        refused = {
            "pdf": format == "ollama" or dialect in NO_PDF,
            "audio": format in ("ollama", "messages", "responses") or dialect in NO_AUDIO,
        }
        for part, expected in ((PDF, refused["pdf"]), (WAV, refused["audio"]), (CSV, False), (WORDS, False)):
            assert (format_of(format, dialect).unsupported(part) is not None) == expected, part
            if not expected:
                body(format, user(part), dialect=dialect)
                continue
            with pytest.raises(ProviderError) as caught:
                body(format, user(part), dialect=dialect)
            assert caught.value.code == "bad_request"

    def test_refusal_names_the_part_the_service_and_an_alternative(self) -> None:
        registry = Registry(
            {"local": {"base_url": "http://x.example", "format": "ollama"}, "groq": {}}, environ={}, builtin=True
        )
        for model, what in (
            ("local/one", "Ollama does not accept PDF files."),
            ("groq/one", "Groq does not accept PDF files."),
        ):
            with pytest.raises(InvalidRequestError) as caught:
                registry.check(JobSpec(model=model, messages=(user(WORDS), user(WORDS, PDF))))
            assert caught.value.field == "messages[1].content[1]"
            assert caught.value.message == (
                f"The file 'report.pdf' cannot be sent: {what} Send its text instead, or choose a provider that accepts"
                " PDF files, such as anthropic or gemini."
            )
        registry.check(JobSpec(model="local/one", messages=(user(CSV),)))
        registry.check(JobSpec(model="nowhere/one", messages=(user(PDF),)))


MARK = CacheControl(type="ephemeral")
HOUR = CacheControl(type="ephemeral", ttl="1h")


class TestCacheControl:
    def test_cache_control_is_sent_to_messages(self) -> None:
        sent = body(
            "messages",
            Message(role="system", content=(TextPart(text="Be brief.", cache_control=HOUR),)),
            Message(role="developer", content="Be kind."),
            user(msgspec.structs.replace(PDF, cache_control=MARK), WORDS),
        )
        assert sent["system"] == [
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": "Be kind."},
        ]
        assert [part.get("cache_control") for part in sent["messages"][0]["content"]] == [{"type": "ephemeral"}, None]
        assert_known(MessageParam, sent["messages"])
        assert_known(TextBlockParam, sent["system"])

    def test_tool_result_keeps_cache_control(self) -> None:
        result = msgspec.structs.replace(TOOLS[2], content=(TextPart(text="x", cache_control=MARK),))
        (block, _) = body("messages", TOOLS[1], result, TOOLS[3])["messages"][1]["content"]
        assert block["cache_control"] == {"type": "ephemeral"}

    @pytest.mark.parametrize(("format", "dialect"), SERVICES)
    def test_cache_control_is_sent_only_where_supported(self, format: str, dialect: DialectName) -> None:
        marked = TextPart(text="x", cache_control=HOUR)
        asked = body(format, user(marked), Message(role="system", content=(marked,)), dialect=dialect)
        seen = "cache_control" in msgspec.json.encode(asked).decode()
        assert seen == (format == "messages" or dialect == "openrouter")


TOOLS = (
    Message(role="user", content="Weather in Bern and Basel?"),
    Message(
        role="assistant",
        content="I look.",
        tool_calls=(
            FunctionCall(id="toolu_1", name="weather", arguments='{"city":"Bern"}'),
            FunctionCall(id="toolu_2", name="weather_at", arguments=""),
        ),
    ),
    Message(role="tool", tool_call_id="toolu_1", content='{"sky": "grey"}'),
    Message(role="tool", tool_call_id="toolu_2", content="rain"),
)


class TestTools:
    def test_tool_turns_are_encoded_for_chat_completions(self) -> None:
        sent = body("chat_completions", *TOOLS)["messages"]
        assert sent[1:4] == [
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
                    },
                    {"id": "toolu_2", "type": "function", "function": {"name": "weather_at", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": '{"sky": "grey"}'},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "rain"},
        ]
        assert_known(ChatCompletionMessageParam, sent)
        silent = msgspec.structs.replace(TOOLS[1], content="")
        sent = body("chat_completions", silent, *TOOLS[2:])["messages"]
        assert sent[0]["content"] is None
        assert_known(ChatCompletionMessageParam, sent)
        assert generator._message(silent)["content"] == ""

    def test_tool_turns_are_encoded_for_responses(self) -> None:
        sent = body("responses", *TOOLS)["input"]
        assert sent[1:6] == [
            {"role": "assistant", "content": "I look."},
            {"type": "function_call", "call_id": "toolu_1", "name": "weather", "arguments": '{"city":"Bern"}'},
            {"type": "function_call", "call_id": "toolu_2", "name": "weather_at", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "toolu_1", "output": '{"sky": "grey"}'},
            {"type": "function_call_output", "call_id": "toolu_2", "output": "rain"},
        ]
        assert_known(ResponseInputItemParam, sent)
        silent = msgspec.structs.replace(TOOLS[1], content="")
        assert body("responses", silent, *TOOLS[2:])["input"][0]["type"] == "function_call"

    def test_tool_turns_are_encoded_for_messages(self) -> None:
        sent = body("messages", *TOOLS)["messages"]
        assert sent[1:3] == [
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "weather_at", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"sky": "grey"}'},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "rain"},
                ],
            },
        ]
        assert_known(MessageParam, sent)

    def test_tool_turns_are_encoded_for_gemini(self) -> None:
        assert body("gemini", *TOOLS, model="gemini-3.8-flash")["contents"][1:3] == [
            {
                "role": "model",
                "parts": [
                    {"text": "I look."},
                    {
                        "functionCall": {"id": "toolu_1", "name": "weather", "args": {"city": "Bern"}},
                        "thoughtSignature": "skip_thought_signature_validator",
                    },
                    {"functionCall": {"id": "toolu_2", "name": "weather_at", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "toolu_1", "name": "weather", "response": {"sky": "grey"}}},
                    {"functionResponse": {"id": "toolu_2", "name": "weather_at", "response": {"output": "rain"}}},
                ],
            },
        ]

    def test_tool_turns_for_gemini_2_omit_signatures_and_made_up_ids(self) -> None:
        made_up = FunctionCall(id="call_0", name="weather", arguments="{}")
        history = (
            Message(role="assistant", content="", tool_calls=(made_up,)),
            Message(role="tool", tool_call_id="call_0", content="rain"),
        )
        assert body("gemini", *history, model="gemini-2.5-flash")["contents"][:2] == [
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "weather", "response": {"output": "rain"}}}],
            },
        ]

    def test_tool_turns_are_encoded_for_ollama(self) -> None:
        assert body("ollama", *TOOLS)["messages"][1:4] == [
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"function": {"name": "weather", "arguments": {"city": "Bern"}}},
                    {"function": {"name": "weather_at", "arguments": {}}},
                ],
            },
            {"role": "tool", "tool_name": "weather", "content": '{"sky": "grey"}'},
            {"role": "tool", "tool_name": "weather_at", "content": "rain"},
        ]

    @pytest.mark.parametrize("format", ["messages", "gemini", "ollama"])
    def test_invalid_tool_arguments_are_wrapped(self, format: str) -> None:
        broken = FunctionCall(id="toolu_1", name="weather", arguments='{"city":')
        history = (msgspec.structs.replace(TOOLS[1], tool_calls=(broken,)), TOOLS[2])
        assert '{"INVALID_JSON":"{\\"city\\":"}' in msgspec.json.encode(body(format, *history)).decode()

    @pytest.mark.parametrize("format", FORMATS)
    def test_unanswered_tool_calls_are_dropped_and_orphan_results_refused(self, format: str) -> None:
        assert body(format, TOOLS[0], TOOLS[1]) == body(
            format, TOOLS[0], Message(role="assistant", content=TOOLS[1].content)
        )
        with pytest.raises(ProviderError, match="has no call 'toolu_1'"):
            body(format, TOOLS[0], TOOLS[2])


class TestDeveloper:
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_developer_role_is_kept_or_becomes_system(self, dialect: DialectName) -> None:
        (told, _) = body("chat_completions", Message(role="developer", content="Be brief."), dialect=dialect)[
            "messages"
        ]
        knows = dialect in ("openai", "azure", "openrouter")
        assert told == {"role": "developer" if knows else "system", "content": "Be brief."}
        assert_known(ChatCompletionMessageParam, [told])

    def test_developer_message_is_encoded_for_other_formats(self) -> None:
        told = Message(role="developer", content="Be brief.")
        assert body("responses", told)["input"][0] == {"role": "developer", "content": "Be brief."}
        assert_known(ResponseInputItemParam, body("responses", told)["input"])
        assert body("messages", told)["system"] == "Be brief."
        assert body("gemini", told)["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
        assert body("ollama", told)["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_text_files_count_toward_context_window() -> None:
    words = FilePart(media_type="text/plain", name="long.txt", data=b"word " * 1_000_000)
    asked = job("openai/gpt-4o", history=[user(words)])
    length = await certain_overflow(asked, model="gpt-4o", base_url="https://api.openai.com/v1", headers={})
    assert length is not None
    assert length.tokens is not None
    assert length.tokens > 600_000
    large = msgspec.structs.replace(PDF, data=b"%PDF-" + b"word " * 1_000_000)
    asked = job("openai/gpt-4o", history=[user(large)])
    assert await certain_overflow(asked, model="gpt-4o", base_url="https://api.openai.com/v1", headers={}) is None
