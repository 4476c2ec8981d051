"""The log over HTTP, read by the published clients of the Durable Streams protocol and by a plain EventSource."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from durable_streams import stream
from harness.jupyter import Jupyter
from server.conftest import submit, until_text, wait

from jupyter_bgstream.core.codec import decode_event
from jupyter_bgstream.core.events import Event
from jupyter_bgstream.core.state import Answer, fold
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

LABEXTENSION = Path(__file__).parents[2] / "labextension"
TEXT = " ".join(f"word{n}" for n in range(40))


def url_of(server: Jupyter, job: str) -> str:
    return f"{server.api}jobs/{job}/events"


def events_of(items: list[Any]) -> list[Event]:
    return [decode_event(json.dumps(item).encode()) for item in items]


@pytest.fixture
def running(server: Jupyter, provider: ThreadedProvider) -> Iterator[tuple[str, str]]:
    """A job that holds in mid-answer, and a cursor there."""
    provider.scripts["followed"] = answer(TEXT, hold_after=20, usage=(1, 40))
    job = submit(server, "followed")
    yield job, until_text(server, job, "word19")
    with server.client() as client:
        client.post(f"jobs/{job}/cancel")
    provider.quiet()


def python_client(url: str, offset: str, headers: dict[str, str], live: Any, release: Callable[[], None]) -> list[Any]:
    items: list[Any] = []
    with stream(url, offset=offset, live=live, headers=headers) as response:
        for item in response.iter_json():
            items.append(item)
            if len(items) == 1:
                release()  # it follows: now the answer may go on
    return items


NODE_CLIENT = """
import { stream } from '@durable-streams/client';
const [url, offset, live, token] = process.argv.slice(1);
const response = await stream({ url, offset, live, json: true, headers: { Authorization: `token ${token}` } });
response.subscribeJson(async batch => {
  for (const item of batch.items) console.log(JSON.stringify(item));
});
process.on('beforeExit', () => console.log(JSON.stringify({ closed: response.streamClosed })));
"""


def node_client(url: str, offset: str, token: str, live: str, release: Callable[[], None]) -> list[Any]:
    node = shutil.which("node")
    assert node is not None
    command = [node, "--input-type=module", "-e", NODE_CLIENT, url, offset, live, token]
    items: list[Any] = []
    with subprocess.Popen(command, cwd=LABEXTENSION, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        for line in client.stdout:
            items.append(json.loads(line))
            if len(items) == 1:
                release()
    assert client.returncode == 0
    assert items.pop() == {"closed": True}
    return items


@pytest.mark.parametrize("live", ["sse", "long-poll"])
@pytest.mark.parametrize("place", ["-1", "middle"])
def test_npm_client_follows_running_job_to_its_end(
    server: Jupyter, provider: ThreadedProvider, running: tuple[str, str], live: str, place: str
) -> None:
    job, middle = running
    # From the middle there is nothing to read before the release: give it something to see first.
    offset = "-1" if place == "-1" else with_one_to_read(middle)
    items = node_client(url_of(server, job), offset, server.token, live, provider.release)
    check(server, job, items, whole=place == "-1")


@pytest.mark.parametrize("place", ["-1", "middle"])
def test_python_client_follows_running_job_to_its_end(
    server: Jupyter, provider: ThreadedProvider, running: tuple[str, str], place: str
) -> None:
    job, middle = running
    offset = "-1" if place == "-1" else with_one_to_read(middle)
    headers = {"Authorization": f"token {server.token}"}
    items = python_client(url_of(server, job), offset, headers, "sse", provider.release)
    check(server, job, items, whole=place == "-1")
    assert python_client(url_of(server, job), "-1", headers, False, lambda: None) == [*beginning(server, job, items)]


def with_one_to_read(cursor: str) -> str:
    log, attempt, seq = cursor.split("_")
    return f"{log}_{attempt}_{int(seq) - 1:012d}"


def beginning(server: Jupyter, job: str, items: list[Any]) -> list[Any]:
    with server.client() as client:
        whole: list[Any] = client.get(f"jobs/{job}/events").json()
    assert whole[len(whole) - len(items) :] == items
    return whole


def check(server: Jupyter, job: str, items: list[Any], *, whole: bool) -> None:
    ended = wait(server, job)
    events = events_of(items)
    first = events_of(beginning(server, job, items))[: -len(events)]
    state = fold(events, fold(first, Answer()))
    assert (state.text, state.status) == (ended["text"], "completed") == (TEXT, "completed")
    assert (events[0].seq == 1) == whole


def test_event_source_resumes_and_stops_at_end(
    server: Jupyter, provider: ThreadedProvider, running: tuple[str, str]
) -> None:
    job, _ = running
    provider.release()
    wait(server, job)
    with server.client() as client:
        body = client.get(f"jobs/{job}/events", params={"live": "sse"})
        assert body.headers["Content-Type"] == "text/event-stream"
        ids = [line.removeprefix("id: ") for line in body.text.splitlines() if line.startswith("id: ")]
        again = client.get(f"jobs/{job}/events", params={"live": "sse"}, headers={"Last-Event-ID": ids[-1]})
        half = with_one_to_read(ids[-1])
        # Last-Event-ID wins over the offset of the URL, which an EventSource cannot change.
        rest = client.get(f"jobs/{job}/events", params={"live": "sse"}, headers={"Last-Event-ID": half})
    assert again.status_code == 204
    assert '"type":"completed"' in rest.text
    assert '"type":"queued"' not in rest.text


def test_headers_contain_offset_and_closed_state(
    server: Jupyter, provider: ThreadedProvider, running: tuple[str, str]
) -> None:
    job, middle = running
    path = f"jobs/{job}/events"
    with server.client() as client:
        head = client.head(path)
        assert head.headers["Stream-Next-Offset"] == middle
        assert "Stream-Closed" not in head.headers
        now = client.get(path, params={"offset": "now"})
        assert (now.json(), now.headers["Stream-Up-To-Date"], now.headers["Stream-Next-Offset"]) == ([], "true", middle)
        open_etag = client.get(path).headers["ETag"]
        provider.release()
        wait(server, job)
        tail = client.head(path).headers
        assert tail["Stream-Closed"] == "true"
        whole = client.get(path)
        assert whole.headers["ETag"] != open_etag
        assert whole.headers["Cache-Control"] == "no-store"
        assert client.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
        end = client.get(path, params={"offset": tail["Stream-Next-Offset"], "live": "long-poll"})
        assert (end.status_code, end.headers["Stream-Closed"]) == (204, "true")


def test_wrong_offset_or_live_mode_is_refused(
    server: Jupyter, provider: ThreadedProvider, running: tuple[str, str]
) -> None:
    job, middle = running
    provider.release()
    path = f"jobs/{job}/events"

    def refusal(**params: str) -> tuple[int, str]:
        with server.client() as client:
            answer: httpx.Response = client.get(path, params=params)
            return answer.status_code, answer.json()["code"]

    assert refusal(offset="12") == (400, "invalid")
    assert refusal(live="websocket") == (400, "invalid")
    assert refusal(offset="deadbeef" + middle[8:]) == (410, "cursor_gone")
    assert refusal(offset=middle[:-3] + "999", live="sse") == (410, "cursor_gone")


def test_log_only_grows_at_its_end(server: Jupyter, provider: ThreadedProvider, running: tuple[str, str]) -> None:
    job, _ = running
    with server.client() as client:
        early = client.get(f"jobs/{job}/events").content
        provider.release()
        wait(server, job)
        late = client.get(f"jobs/{job}/events").content
    assert late.startswith(early[:-1])


def test_disconnected_viewers_do_not_end_job(
    server: Jupyter, provider: ThreadedProvider, running: tuple[str, str]
) -> None:
    job, _ = running
    for live in ("sse", "long-poll"):
        with (
            server.client() as client,
            client.stream("GET", f"jobs/{job}/events", params={"live": live}) as viewer,
        ):
            next(viewer.iter_raw())
    provider.release()
    assert wait(server, job)["text"] == TEXT
    assert not any("Uncaught" in line or "Traceback" in line for line in server.log)


def test_only_last_page_is_up_to_date(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["very-long"] = answer([f"{'x' * 100}{n} " for n in range(5000)])
    job = submit(server, "very-long")
    wait(server, job)
    with server.client() as client:
        tail = client.head(f"jobs/{job}/events").headers["Stream-Next-Offset"]
        first = client.get(f"jobs/{job}/events", params={"live": "long-poll"})
        assert first.headers["Stream-Next-Offset"] < tail
        assert "Stream-Up-To-Date" not in first.headers
        sse = client.get(f"jobs/{job}/events", params={"live": "sse"}).text
        controls = [json.loads(line[6:]) for line in sse.splitlines() if line.startswith('data: {"streamNext')]
        assert [control.get("upToDate", False) for control in controls] == [False] * (len(controls) - 1) + [True]


def test_head_request_never_gets_304(server: Jupyter, provider: ThreadedProvider, running: tuple[str, str]) -> None:
    job, _ = running
    with server.client() as client:
        before = client.head(f"jobs/{job}/events")
        provider.release()
        wait(server, job)
        etag = before.headers.get("ETag", '"da39a3ee5e6b4b0d3255bfef95601890afd80709"')
        assert client.head(f"jobs/{job}/events", headers={"If-None-Match": etag}).status_code == 200
