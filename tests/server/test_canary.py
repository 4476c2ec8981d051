"""Keys are planted in all settings; then all files, responses and processes of the server are searched for them."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from client.conftest import Kernel
from harness.jupyter import Jupyter
from server.conftest import config_for, submit, until_text, wait
from server.websocket_client import connect, leave, read
from traitlets.config import Config

from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.providers.provider_settings import read_provider_settings
from jupyter_bgstream.testing.http_connection import Request
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import Cut, Hold, Script, answer, event, refusal, replay

# With characters that every encoding writes in another way, around words that it does not.
KEY = 'sk-"K3yC4nary"+/9&\\ z'
HEADER = 'team="H3adC4nary"/+'
# In lower case; in base64 as in the echoes below, whose neighbours differ.
SECRETS = (
    *(b"k3yc4nary", b"h3adc4nary"),
    *(word.hex().encode() for word in (b"K3yC4nary", b"H3adC4nary")),
    *(
        base64.b64encode(bytes(before) + word)[(before * 8 + 5) // 6 : (before + len(word)) * 8 // 6].lower()
        for word in (b"K3yC4nary", b"H3adC4nary")
        for before in range(3)
    ),
)
PROMPT, ANSWER = "Pr0mptM4rker", "Answ3rM4rker"

Echo = Callable[[str], Script]

# How a service may give back what it was sent.
ECHOES: dict[str, Echo] = {
    "plain": lambda said: refusal(401, f"Incorrect API key provided: {said}."),
    "in JSON": lambda said: refusal(401, {"error": {"message": f"Incorrect API key provided: {said}."}}),
    "quoted": lambda said: refusal(401, {"error": {"message": json.dumps(said)}}),
    "as Python does": lambda said: refusal(401, {"error": {"message": repr(said)}}),
    "in an address": lambda said: refusal(401, {"error": {"message": f"GET /?key={quote(said)}"}}),
    "in a form": lambda said: refusal(401, {"error": {"message": f"key={quote_plus(said)}"}}),
    "in an address in lower case": lambda said: refusal(401, quote(said, safe="").lower()),
    "in a page": lambda said: refusal(401, f"<p>{html.escape(said)}</p>", {"Content-Type": "text/html"}),
    "in upper case": lambda said: refusal(401, {"error": {"message": said.upper()}}),
    "in escapes": lambda said: refusal(401, {"error": {"message": escaped(said)}}),
    "in a stream, in pieces": lambda said: replay(event({"error": {"message": f"No: {said}"}}), cuts=7),
    "after some text": lambda said: replay([chunk_of("Half "), event({"error": {"message": f"No: {said}"}})]),
    "as no stream": lambda said: refusal(200, {"odd": said}),
    "as no chunk": lambda said: replay(event(json.dumps(said) + "}")),
    "as a redirect": lambda said: refusal(307, "", {"Location": f"https://x.example/{quote(said)}?key={quote(said)}"}),
    "as a delay": lambda said: refusal(429, "", {"Retry-After": said}),
    "many times": lambda said: refusal(400, f"{said} " * 3000),
    "in base64": lambda said: refusal(401, {"error": {"message": coded(said)}}),
    "in base64 of addresses": lambda said: refusal(401, base64.urlsafe_b64encode(b"." + said.encode())),
    "in hex": lambda said: refusal(401, {"error": {"message": said.encode().hex()}}),
    "without its scheme": lambda said: refusal(401, {"error": {"message": said.removeprefix("Bearer ")}}),
    "and then a cut": lambda said: refusal(401, f"No: {said}").first(1, Cut()),
}  # fmt: skip


# How a service may give it back in an answer that is whole: in what it calls things.
FIELDS: dict[str, Echo] = {
    "as why it ended": lambda said: replay(event({"choices": [{"delta": {"content": "x"}, "finish_reason": said}]})),
    "as a tool": lambda said: replay(
        event({"choices": [{"delta": {"tool_calls": [calling(said)]}, "finish_reason": "tool_calls"}]})
    ),
    "as a page": lambda said: replay(
        event({"search_results": [{"url": f"https://x.example/{said}", "title": said}], "choices": [STOP]})
    ),
    "as why it ended, in base64": lambda said: replay(event({"choices": [STOP | {"finish_reason": coded(said)}]})),
    "as a tool, in base64": lambda said: replay(
        event({"choices": [STOP | {"delta": {"tool_calls": [calling(coded(said))]}}]})
    ),
    "as a page, in hex": lambda said: replay(
        event({"citations": [f"https://x.example/{said.encode().hex()}"], "choices": [STOP]})
    ),
}
STOP = {"delta": {"content": "x"}, "finish_reason": "stop"}


def calling(said: str) -> dict[str, Any]:
    return {"id": said, "function": {"name": said, "arguments": "{}"}}


def coded(said: str) -> str:
    return base64.b64encode(said.encode()).decode()


def escaped(said: str) -> str:
    return "".join(f"\\u{ord(character):04x}" if character in '"/<>&+' else character for character in said)


def chunk_of(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


def echoing(echo: Echo) -> Callable[[Request], Script]:
    return lambda request: echo(f"{request.headers['authorization']} {request.headers['x-team']}")


def config(provider: ThreadedProvider, home: Path) -> dict[str, Any]:
    found = config_for(provider, database=str(home / "jobs.sqlite"))
    base = {"base_url": provider.base_url, "api_key_env": "DEMO_KEY", "headers": {"X-Team": HEADER}}
    found["BgStreamApp"]["providers"] = {
        "demo": base,
        "slow": base | {"idle_timeout": 0.3},
        "tls": base | {"base_url": provider.base_url.replace("http:", "https:")},
        "nowhere": base | {"base_url": "http://127.0.0.1:9/v1"},
        "config": {name: value for name, value in base.items() if name != "api_key_env"} | {"api_key": KEY},
    }
    return found | {"ServerApp": {"log_level": "DEBUG"}, "Application": {"log_level": "DEBUG"}}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> dict[str, bytes]:
    """All that came of jobs of every fate: name of the place, and what is there, in lower case."""
    home = tmp_path_factory.mktemp("canary")
    server = Jupyter(home, config=config(provider, home), DEMO_KEY=KEY, OPENAI_API_KEY=KEY)
    said: dict[str, bytes] = {}
    try:
        server.start()
        live_many(server, provider)
        said |= processes(server)
        provider.scripts["killed"] = answer(f"{ANSWER} two", hold_after=1)
        killed = submit(server, "killed", prompt=PROMPT)
        until_text(server, killed, ANSWER)
        server.kill()
        log = list(server.log)
        server.start()
        assert wait(server, killed)["status"] == "interrupted"
        said |= saved_notebook(server)
        said |= answers(server)
        said |= processes(server)
        said |= {str(path.relative_to(home)): path.read_bytes() for path in files(home)}  # with jobs.sqlite-wal
        server.stop()
        said |= {f"{path.name}, stopped": path.read_bytes() for path in files(home)}
        said["log"] = "".join(log + server.log).encode()
    finally:
        server.stop()
    return {place: data.lower() for place, data in said.items()}


def files(home: Path) -> list[Path]:
    # The config is where the header was planted.
    return [path for path in home.rglob("*") if path.is_file() and path.name != "jupyter_config.json"]


def live_many(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["fine"] = answer(f"{ANSWER} and more", usage=(1, 2))
    provider.scripts["held"] = answer(f"{ANSWER} and more", hold_after=1)
    provider.scripts["silent"] = replay([chunk_of(ANSWER)]).first(1, Hold())
    jobs = [submit(server, "fine", prompt=PROMPT)]
    assert wait(server, jobs[0])["status"] == "completed"
    for name, echo in ECHOES.items():
        provider.scripts[name] = provider.scripts[name.replace(" ", "_")] = echoing(echo)
        jobs.append(submit(server, name, prompt=PROMPT, retry_policy="never"))
    for name, echo in FIELDS.items():
        provider.scripts[name] = echoing(echo)
        assert wait(server, submit(server, name, prompt=PROMPT, retry_policy="never"))["status"] == "completed", name
    for model in ("config/in_JSON", "slow/silent", "tls/fine", "nowhere/fine", "nobody/fine", "openai/x"):
        jobs.append(submit_to(server, model))
    for job in jobs[1:]:
        ended = wait(server, job)
        assert ended["status"] == "failed", ended
    sent = [request.headers for request in provider.requests]
    assert all((headers["authorization"], headers["x-team"]) == (f"Bearer {KEY}", HEADER) for headers in sent)
    with server.client() as client:
        cancelled = submit(server, "held", prompt=PROMPT)
        until_text(server, cancelled, ANSWER)
        assert client.post(f"jobs/{cancelled}/cancel").json()["status"] == "cancelled"
        # A try that is put off says why while it waits, and is cancelled there.
        provider.scripts["overloaded"] = echoing(lambda said: refusal(503, f"Overloaded: {said}"))
        waiting = submit(server, "overloaded", prompt=PROMPT, retry_policy="always")
        events = ""
        while '"waiting"' not in events:
            events = client.get(f"jobs/{waiting}/events?live=long-poll&offset=-1").text
        assert client.post(f"jobs/{waiting}/cancel").json()["status"] == "cancelled"


def submit_to(server: Jupyter, model: str) -> str:
    with server.client() as client:
        body = {"model": model, "prompt": PROMPT, "retry_policy": "never"}
        return str(client.post("jobs", json=body).raise_for_status().json()["id"])


def answers(server: Jupyter) -> dict[str, bytes]:
    """Every answer of REST, and every frame of the socket."""
    said = {}
    with server.client() as client:
        jobs = [job["id"] for job in client.get("jobs?limit=500").json()["jobs"]]
        assert len(jobs) > len(ECHOES) + len(FIELDS)
        paths = ["jobs?limit=500", "notices", "models", "status", "mutes", "openapi.json"]
        for job in jobs:
            paths += [f"jobs/{job}", f"jobs/{job}/events", f"jobs/{job}/events?live=sse"]
        for path in paths:
            response = client.get(path)
            assert response.status_code == 200, path
            said[path] = response.content + str(response.headers.raw).encode()
        frames = frames_of(server, jobs)
    return said | {"the socket": frames}


def frames_of(server: Jupyter, jobs: list[str]) -> bytes:
    import asyncio

    async def follow() -> bytes:
        socket = await connect(server)
        frames = []
        for job in jobs:
            await socket.write_message(json.dumps({"type": "follow", "job": job}))
        open_jobs = set(jobs)
        while open_jobs:
            frames.append(await read(socket))
            frame = json.loads(frames[-1])
            if frame["type"] == "events" and frame["closed"]:
                open_jobs.discard(frame["job"])
        await leave(socket)
        return "\n".join(frames).encode()

    return asyncio.run(follow())


def saved_notebook(server: Jupyter) -> dict[str, bytes]:
    """What a kernel shows of a refused job and of a fine one, saved through Jupyter."""
    with closing(Kernel(server)) as kernel:
        ran = [kernel.run("%load_ext jupyter_bgstream")]
        for model in ("in JSON", "in upper case", "fine"):
            ran.append(kernel.run(f"%%bg demo/{model.replace(' ', '_')}\n{PROMPT}"))
        ran.append(kernel.run("from jupyter_bgstream.client import jobs\nfor job in jobs(): display(job)"))
        assert all(each.reply["status"] == "ok" for each in ran), [
            each.error for each in ran if each.reply["status"] != "ok"
        ]
        said = {"a process of a kernel": processes(server).get("processes", b"")}
    outputs = json.dumps([each.outputs for each in ran], default=str)
    assert ANSWER in outputs
    notebook = {"cells": [], "metadata": {"outputs": outputs}, "nbformat": 4, "nbformat_minor": 5}
    with server.client() as client:
        body = {"type": "notebook", "content": notebook}
        assert client.put(f"{server.url}api/contents/saved.ipynb", json=body).status_code == 201
    return said


def processes(server: Jupyter) -> dict[str, bytes]:
    """The arguments of the server and of all that it has started."""
    found = b""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == server.pid or b"ipykernel" in (process / "cmdline").read_bytes():
                found += (process / "cmdline").read_bytes()
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue
    return {"processes": found}


def test_search_finds_planted_prompt_and_answer(everything: dict[str, bytes]) -> None:
    assert b"jobs.sqlite" in b" ".join(place.encode() for place in everything)
    kept = b"".join(data for place, data in everything.items() if "jobs.sqlite" in place)
    assert PROMPT.lower().encode() in kept
    assert ANSWER.lower().encode() in everything["the socket"]
    assert b"jupyter" in everything["processes"] or not Path("/proc").exists()
    assert b"debug" in everything["log"] or b"[d " in everything["log"]
    assert b"incorrect api key provided" in kept  # the services' own words are kept, without the key


def test_key_is_in_no_file_response_or_process(everything: dict[str, bytes]) -> None:
    found = {
        place: data[max(0, data.find(secret) - 150) : data.find(secret) + 50]
        for place, data in everything.items()
        for secret in SECRETS
        if secret in data and place != "log"
    }
    assert not found


def test_log_contains_no_key_prompt_or_answer(everything: dict[str, bytes]) -> None:
    secrets = (*SECRETS, PROMPT.lower().encode(), ANSWER.lower().encode())
    # traitlets logs the whole config at debug level, Jupyter's own token with it: see docs/explanation/security.md.
    lines = [line for line in everything["log"].splitlines() if b"config changed:" not in line]
    assert not [line for line in lines if any(secret in line for secret in secrets)]


def test_only_name_of_function_in_config_is_logged() -> None:
    def key() -> str:
        return KEY

    said = repr(Config({"BgStreamApp": {"providers": {"openai": {"api_key": key}}}}))  # what traitlets logs
    assert "function" in said
    assert "k3yc4nary" not in said.lower()


def test_misplaced_key_is_not_in_error_message(provider: ThreadedProvider) -> None:
    wrong = {
        "as the variable's name": {"base_url": provider.base_url, "api_key_env": KEY},
        "in the address": {"base_url": f"https://user:{quote(KEY, safe='')}@host.example/v1"},
        "as a port": {"base_url": "https://host.example:K3yC4nary/v1"},
        "as a query": {"base_url": f"https://host.example/v1?key={quote(KEY)}"},
        "as a field": {"base_url": provider.base_url, "key": KEY},
        "as a list": {"base_url": provider.base_url, "api_key": [KEY]},
        "in a list of names": {"base_url": provider.base_url, "api_key_env": ["A_KEY", KEY]},
        "as a proxy": {"base_url": provider.base_url, "proxy": KEY},
        "as the password of a wrong proxy": {"base_url": provider.base_url, "proxy": "ftp://me:K3yC4nary@host"},
        "as the name of a header": {"base_url": provider.base_url, "key_header": "X", "headers": {"X": [KEY]}},
        "as a header that cannot be sent": {"base_url": provider.base_url, "headers": {"X-Team": KEY + "\n"}},
    }
    for name, entry in wrong.items():
        with pytest.raises(InvalidRequestError) as refused:  # app.py says its words in the log, and at every route
            read_provider_settings("demo", entry)
        assert "k3yc4nary" not in str(refused.value).lower(), name
