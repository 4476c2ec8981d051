"""Images and params through REST: requests to the provider, responses to viewers, and refusals."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from harness.jupyter import Jupyter
from server.conftest import submit, wait

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20_000
IMAGE = {"type": "image", "media_type": "image/png", "data": b64encode(PNG).decode()}
TEXT = {"type": "text", "text": "What is this?"}


def asked(*parts: Any) -> dict[str, Any]:
    return {"model": "demo/seen", "messages": [{"role": "user", "content": list(parts)}]}


def test_image_is_sent_to_provider_and_viewers_see_its_size(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["seen"] = answer("A square.")
    with server.client() as client:
        body = asked(IMAGE, TEXT)
        made = client.post("jobs", json=body | {"id": "with-an-image"})
        again = client.post("jobs", json=body | {"id": "with-an-image"})
        other = client.post("jobs", json=asked(TEXT) | {"id": "with-an-image"})
    assert (made.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert made.json()["title"] == "What is this?"
    job = wait(server, "with-an-image")
    assert (job["status"], job["text"]) == ("completed", "A square.")
    assert job["messages"] == [
        {"role": "user", "content": [{"type": "image", "media_type": "image/png", "bytes": len(PNG)}, TEXT]}
    ]
    (sent,) = provider.requests[-1].json["messages"]
    assert sent["content"][0]["image_url"]["url"] == f"data:image/png;base64,{IMAGE['data']}"


def test_retried_job_sends_its_images_again(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["seen"] = answer("Yes.")
    with server.client() as client:
        first = client.post("jobs", json=asked(IMAGE)).json()["id"]
        wait(server, first)
        wait(server, client.post(f"jobs/{first}/retry").json()["id"])
    assert provider.requests[-1].json == provider.requests[-2].json


def test_next_turn_of_thread_sends_image_before_it(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["seen"] = answer("A square.")
    with server.client() as client:
        wait(server, client.post("jobs", json=asked(IMAGE, TEXT) | {"thread": "shapes"}).json()["id"])
    wait(server, submit(server, "seen", thread="shapes", prompt="What colour?"))
    first, said, second = provider.requests[-1].json["messages"]
    assert [part["type"] for part in first["content"]] == ["image_url", "text"]
    assert (said["content"], second["content"]) == ("A square.", "What colour?")


def test_job_response_does_not_contain_image_data(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["seen"] = answer("Large.")
    large = IMAGE | {"data": b64encode(PNG + b"\0" * 5_000_000).decode()}
    with server.client() as client:
        made = client.post("jobs", json=asked(large, large, TEXT))
        assert made.status_code == 201
        wait(server, made.json()["id"])
        assert len(client.get(f"jobs/{made.json()['id']}").content) < 5000
    assert len(provider.requests[-1].body) > 13_000_000


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([IMAGE | {"data": "no base64!"}], "messages[0].content[0].data"),
        ([TEXT, IMAGE | {"data": ""}], "messages[0].content[1].data"),
        ([IMAGE | {"media_type": "image/tiff"}], "messages[0].content[0].media_type"),
        ([IMAGE | {"url": "https://a.example"}], "messages[0].content[0].url"),
        ([{"type": "video"}], "messages[0].content[0].type"),
        (["text"], "messages[0].content[0]"),
        ([], "messages"),
        ([IMAGE | {"data": "AAAA"}] * 51, "messages"),
    ],
)
def test_malformed_image_is_400_with_its_field(server: Jupyter, parts: list[Any], field: str) -> None:
    with server.client() as client:
        answered = client.post("jobs", json=asked(*parts))
    assert (answered.status_code, answered.json()["code"], answered.json()["field"]) == (400, "invalid", field)


def test_key_in_params_is_refused_and_not_stored(server: Jupyter) -> None:
    with server.client() as client:
        body = {"id": "with-a-key", "model": "demo/seen", "prompt": "x", "params": {"api_key": "sk-canary"}}
        answered = client.post("jobs", json=body)
        assert (answered.status_code, answered.json()["field"]) == (400, "params.api_key")
        assert "canary" not in answered.text
        assert client.get("jobs/with-a-key").status_code == 404
        member = body | {"params": {"base_url": "https://evil.example"}}
        grouped = client.post("batches", json={"id": "with-an-address", "total": 1, "jobs": [member]})
        assert (grouped.status_code, grouped.json()["code"]) == (400, "invalid")
        assert client.get("batches/with-an-address").status_code == 404


def test_params_are_sent_by_their_names(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["named"] = answer("x")
    wait(server, submit(server, "named", params={"max_tokens": 5, "top_k": 3}))
    sent = provider.requests[-1].json
    assert (sent["max_tokens"], sent["top_k"]) == (5, 3)
    job = wait(server, submit(server, "named", params={"max_tokens": 5, "max_completion_tokens": 6}))
    assert (job["status"], job["error"]["code"]) == ("failed", "bad_request")
    assert "params contradict each other" in job["error"]["message"]
