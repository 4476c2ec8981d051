"""Images of answers over HTTP: stored, served only as images, and deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for, submit, wait

from jupyter_bgstream.store.port_values import IMAGE_CHUNK
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
HTML = b"GIF89a<html><script>alert(document.domain)</script>"
LARGE = b"\xff\xd8\xff" + bytes(range(256)) * 4096 + b"the end"


@pytest.fixture
def drawn(server: Jupyter, provider: ThreadedProvider) -> str:
    provider.scripts["drawn"] = answer("Here:", images=[PNG, HTML, LARGE, b"<svg/>"])
    job = submit(server, "drawn")
    wait(server, job)
    return job


def get(server: Jupyter, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    with server.client() as client:
        return client.request(method, path, headers=headers)


def test_answer_lists_images_and_serves_their_files(server: Jupyter, drawn: str) -> None:
    job = get(server, f"jobs/{drawn}").json()
    assert job["images"] == [
        {"id": "1-1", "media_type": "image/png", "bytes": len(PNG)},
        {"id": "1-2", "media_type": "image/gif", "bytes": len(HTML)},
        {"id": "1-3", "media_type": "image/jpeg", "bytes": len(LARGE)},
    ]
    assert job["text"] == (
        "Here:\n\n(Picture 1: PNG, 2.1 kB)\n\n(Picture 2: GIF, 51 bytes)\n\n(Picture 3: JPEG, 1.0 MB)"
        "\n\n(Picture 4 is not kept: it is not a PNG, JPEG, GIF or WebP file.)"
    )
    assert job["preview"].startswith("Here:")
    assert len(LARGE) > 3 * IMAGE_CHUNK
    for image, file in zip(job["images"], (PNG, HTML, LARGE), strict=True):
        answer = get(server, f"jobs/{drawn}/images/{image['id']}")
        assert (answer.status_code, answer.content) == (200, file)
        assert answer.headers["Content-Type"] == image["media_type"]


def test_image_with_html_content_is_served_only_as_image(server: Jupyter, drawn: str) -> None:
    for method in ("GET", "HEAD"):
        headers = get(server, f"jobs/{drawn}/images/1-2", method).headers
        assert headers["Content-Type"] == "image/gif"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert headers["Content-Disposition"] == f'inline; filename="{drawn}-1-2.gif"'
        assert headers["Content-Length"] == str(len(HTML))
        assert headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_unchanged_image_is_304(server: Jupyter, drawn: str) -> None:
    etag = get(server, f"jobs/{drawn}/images/1-3").headers["ETag"]
    again = get(server, f"jobs/{drawn}/images/1-3", **{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["X-Content-Type-Options"] == "nosniff"
    other = get(server, f"jobs/{drawn}/images/1-1", **{"If-None-Match": etag})
    assert (other.status_code, other.content) == (200, PNG)


@pytest.mark.parametrize("path", ["1-4", "1-9", "2-1", "x", "1", "1-1-1", "01-1", "-"])
def test_unknown_image_is_not_found(server: Jupyter, drawn: str, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert get(server, f"jobs/{drawn}/images/{path}", method).status_code == 404
    refusal = get(server, f"jobs/{drawn}/images/{path}")
    assert refusal.json()["code"] == "not_found"
    assert refusal.headers["Content-Type"].startswith("application/json")
    assert refusal.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["../1-1", "1%2F1", "1.1", "", "1-1.png", "%00"])
def test_malformed_image_id_is_not_found(server: Jupyter, drawn: str, path: str) -> None:
    assert get(server, f"jobs/{drawn}/images/{path}").status_code == 404


def test_image_is_deleted_with_its_job(server: Jupyter, drawn: str) -> None:
    with server.client() as client:
        assert client.delete(f"jobs/{drawn}").status_code == 204
        assert client.get(f"jobs/{drawn}/images/1-1").status_code == 404


def test_log_has_one_event_per_image(server: Jupyter, drawn: str) -> None:
    events = get(server, f"jobs/{drawn}/events").json()
    images = [event for event in events if event["type"] == "image"]
    assert images[0] == {
        "seq": images[0]["seq"],
        "attempt": 1,
        "type": "image",
        "id": "1-1",
        "media_type": "image/png",
        "bytes": len(PNG),
    }
    assert len(str(events)) < 5000


def test_batch_answers_list_their_images(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["drawn"] = answer("", images=[PNG])
    jobs = [{"id": "image-of-batch", "model": "demo/drawn", "prompt": "x"}]
    with server.client() as client:
        assert client.post("batches", json={"id": "batch-of-images", "total": 1, "jobs": jobs}).status_code == 200
        wait(server, "image-of-batch")
        (place,) = client.get("batches/batch-of-images/answers").json()["answers"]
    assert place["images"] == [{"id": "1-1", "media_type": "image/png", "bytes": len(PNG)}]
    assert place["text"] == "(Picture 1: PNG, 2.1 kB)"


@pytest.mark.parametrize("most", [0, 1000])
def test_max_image_bytes_limits_images_of_answer(tmp_path: Any, provider: ThreadedProvider, most: int) -> None:
    provider.scripts["drawn"] = answer("Here:", images=[PNG, HTML])
    with jupyter(tmp_path, config=config_for(provider, max_image_bytes=most)) as server:
        job = wait(server, submit(server, "drawn"))
        assert get(server, "status").json()["limits"]["max_image_bytes"] == most
    assert job["status"] == "completed"
    assert "(Picture 1 is not kept: it has 2.1 kB, more than " in job["text"]
    assert [image["id"] for image in job["images"]] == (["1-2"] if most else [])
