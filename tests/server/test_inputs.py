"""Files, audio, cache controls and tools through REST: requests to the provider, responses and refusals."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import submit, wait

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, replay


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    services = {
        "demo": {"base_url": provider.base_url},
        "local": {"base_url": provider.base_url, "format": "ollama"},
        "claude": {"base_url": provider.base_url, "format": "messages"},
    }
    config = {"BgStreamApp": {"providers": services, "model_aliases": {"small": "local/one"}}}
    with jupyter(tmp_path_factory.mktemp("home"), config=config) as server:
        yield server


def data(content: bytes) -> str:
    return b64encode(content).decode()


PDF = {"type": "file", "media_type": "application/pdf", "name": "report.pdf", "data": data(b"%PDF-1.7 and pages")}
CSV = {"type": "file", "media_type": "text/csv", "name": "rates.csv", "data": data(b"a,b\n1,2\n")}
WAV = {"type": "audio", "media_type": "audio/wav", "data": data(b"RIFF....WAVEfmt ")}
TEXT = {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}}
SEEN = [
    {"type": "file", "media_type": "application/pdf", "name": "report.pdf", "bytes": 18},
    {"type": "file", "media_type": "text/csv", "name": "rates.csv", "bytes": 8},
    {"type": "audio", "media_type": "audio/wav", "bytes": 16},
    TEXT,
]


def asked(*parts: Any, model: str = "demo/read", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": list(parts)}], **fields}


def test_files_are_sent_and_viewers_see_their_names_and_sizes(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["read"] = answer("A report.")
    with server.client() as client:
        body = asked(PDF, CSV, WAV, TEXT, id="with-files", thread="files")
        made = client.post("jobs", json=body)
        again = client.post("jobs", json=body)
        others = [
            client.post("jobs", json=asked(*parts, id="with-files", thread="files"))
            for parts in (
                [PDF, CSV, WAV],
                [PDF | {"name": "other.pdf"}, CSV, WAV, TEXT],
                [PDF, CSV | {"data": data(b"a,b\n1,3\n")}, WAV, TEXT],
                [PDF, CSV, WAV, {"type": "text", "text": "What is this?"}],
            )
        ]
    assert (made.status_code, again.status_code) == (201, 200)
    assert [other.status_code for other in others] == [409] * 4
    job = wait(server, "with-files")
    assert (job["status"], job["title"]) == ("completed", "What is this?")
    assert job["messages"] == [{"role": "user", "content": SEEN}]
    (sent,) = provider.requests[-1].json["messages"]
    assert [part["type"] for part in sent["content"]] == ["file", "text", "input_audio", "text"]
    assert sent["content"][0]["file"]["file_data"] == f"data:application/pdf;base64,{PDF['data']}"

    second = submit(server, "read", thread="files", prompt="And now?")
    wait(server, second)
    assert provider.requests[-1].json["messages"][0] == sent
    with server.client() as client:
        messages = client.get("threads/messages", params={"thread": "files"}).json()["messages"]
        retried = client.post(f"jobs/{second}/retry").json()["id"]
    assert messages[0]["content"] == SEEN
    wait(server, retried)
    assert provider.requests[-1].json["messages"][0] == sent


@pytest.mark.parametrize(
    ("part", "field", "words"),
    [
        (CSV | {"name": ""}, "name", "Expected str of length >= 1"),
        (CSV | {"media_type": "application/zip"}, "media_type", "is 'application/zip': a file is application/pdf or"),
        (CSV | {"data": data(b"PK\x03\x04\xff")}, "data", "is not text in UTF-8 (byte 4)"),
        (CSV | {"data": ""}, "data", "The file 'rates.csv' is empty."),
        (PDF | {"data": CSV["data"]}, "data", "is no PDF: it does not begin with %PDF-."),
        (WAV | {"media_type": "audio/ogg"}, "media_type", "Invalid enum value 'audio/ogg'"),
        (WAV | {"media_type": "audio/mpeg"}, "data", "it is no audio/mpeg."),
        (TEXT | {"cache_control": {"type": "forever"}}, "cache_control.type", "Invalid enum value 'forever'"),
        (TEXT | {"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl", "Invalid enum value '2h'"),
    ],
)
def test_malformed_part_is_400_with_its_field(server: Jupyter, part: dict[str, Any], field: str, words: str) -> None:
    with server.client() as client:
        answered = client.post("jobs", json=asked(TEXT, part))
    refusal = answered.json()
    assert (answered.status_code, refusal["code"]) == (400, "invalid")
    assert refusal["field"] == f"messages[0].content[1].{field}"
    assert words in refusal["message"]


@pytest.mark.parametrize(
    ("model", "part", "words"),
    [
        (
            "local/one",
            PDF,
            "The file 'report.pdf' cannot be sent: Ollama does not accept PDF files. Send its text instead",
        ),
        ("small", WAV, "The recording cannot be sent: Ollama does not accept audio. Send a transcript instead"),
        ("claude/one", WAV, "The recording cannot be sent: Anthropic Messages does not accept audio."),
    ],
)
def test_part_unsupported_by_format_is_refused_before_it_is_stored(
    server: Jupyter, model: str, part: dict[str, Any], words: str
) -> None:
    with server.client() as client:
        answered = client.post("jobs", json=asked(part, model=model, id="never-stored"))
        assert (answered.status_code, answered.json()["code"]) == (400, "invalid")
        assert answered.json()["field"] == "messages[0].content[0]"
        assert words in answered.json()["message"]
        member = asked(part, model=model, id="never-stored")
        grouped = client.post("batches", json={"id": "never-stored", "total": 1, "jobs": [member]})
        assert (grouped.status_code, grouped.json()["code"]) == (400, "invalid")
        assert client.get("jobs/never-stored").status_code == 404


def test_file_in_history_unsupported_by_model_fails_job(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["read"] = answer("A report.")
    with server.client() as client:
        wait(server, client.post("jobs", json=asked(PDF, thread="moved")).json()["id"])
        second = client.post("jobs", json={"model": "local/one", "prompt": "And now?", "thread": "moved"}).json()["id"]
    job = wait(server, second)
    assert (job["status"], job["error"]["code"]) == ("failed", "bad_request")
    assert "The file 'report.pdf' cannot be sent: Ollama does not accept PDF files." in job["error"]["message"]


CALLING = (
    b'data: {"choices":[{"index":0,"delta":{"content":"I look.","tool_calls":[{"index":0,"id":"call_a",'
    b'"type":"function","function":{"name":"weather","arguments":"{\\"city\\":\\"Bern\\"}"}}]},"finish_reason":"tool_calls"}]}\n\n'
    b"data: [DONE]\n\n"
)


def test_thread_continues_with_tool_results(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["calls"] = replay(CALLING)
    provider.scripts["read"] = answer("It rains.")
    wait(server, submit(server, "calls", thread="weather"))
    result = {"role": "tool", "tool_call_id": "call_a", "content": "rain"}
    with server.client() as client:
        told = client.post("jobs", json={"model": "demo/read", "thread": "weather", "messages": [result]})
        assert told.status_code == 201, told.text
        job = wait(server, told.json()["id"])
        assert (job["text"], job["messages"]) == ("It rains.", [result])
        messages = client.get("threads/messages", params={"thread": "weather"}).json()["messages"]
    call = {"id": "call_a", "name": "weather", "arguments": '{"city":"Bern"}'}
    assert messages[1]["tool_calls"] == [call]
    assert messages[2]["tool_call_id"] == "call_a"
    sent = provider.requests[-1].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    function = {"name": "weather", "arguments": '{"city":"Bern"}'}
    assert sent[1]["tool_calls"] == [{"id": "call_a", "type": "function", "function": function}]
    assert sent[2] == result


def test_thread_continues_without_tool_results(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["calls"] = replay(CALLING)
    provider.scripts["read"] = answer("Sorry.")
    wait(server, submit(server, "calls", thread="no-weather"))
    wait(server, submit(server, "read", thread="no-weather", prompt="Never mind."))
    assert provider.requests[-1].json["messages"][1] == {"role": "assistant", "content": "I look."}
    with server.client() as client:
        body = {"model": "demo/read", "thread": "no-weather"}
        stray = {"role": "tool", "tool_call_id": "call_b", "content": "rain"}
        job = wait(server, client.post("jobs", json=body | {"messages": [stray]}).json()["id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "bad_request")
    assert "has no call 'call_b'" in job["error"]["message"]


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        ({"role": "tool", "content": "rain"}, "tool_call_id", "needs tool_call_id"),
        ({"role": "tool", "content": "rain", "tool_call_id": "a"}, "tool_call_id", "There is no call 'a'"),
        ({"role": "robot", "content": "x"}, "role", "Invalid enum value 'robot'"),
        (
            {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "name": "look", "arguments": "{}"}]},
            "tool_calls[0]",
            "The call 'a' has no result",
        ),
        ({"role": "assistant", "content": "", "tool_calls": [{"id": "a", "name": "look", "arguments": {}}]},
         "tool_calls[0].arguments", "Expected str, got object"),
    ],
)  # fmt: skip
def test_unmatched_tool_message_is_400_with_its_field(
    server: Jupyter, message: dict[str, Any], field: str, words: str
) -> None:
    with server.client() as client:
        user = {"role": "user", "content": "x"}
        answered = client.post("jobs", json={"model": "demo/read", "messages": [user, message]})
    refusal = answered.json()
    assert (answered.status_code, refusal["code"], refusal["field"]) == (400, "invalid", f"messages[1].{field}")
    assert words in refusal["message"]
