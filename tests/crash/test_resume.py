"""A real server is killed during an answer, and the next one resumes the response at the provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter
from providers.scripted_responses import Answered, ScriptedResponses, response

from jupyter_bgstream.testing import ScriptedProvider

WORDS = [f"{number} naïve 日本語 🦉 " for number in range(40)]
TEXT = "".join(WORDS)
THOUGHT = "Let me think. 👩‍🚀 "  # four pieces
PATIENCE = 60.0  # seconds
MODELS = ("goes-on", "forgotten", "asked-again", "too-old", "cancelled")


class Server:
    """One Jupyter server after the other, on one home."""

    def __init__(self, home: Path, base_url: str) -> None:
        provider = {"base_url": base_url, "format": "responses", "background": True}
        self._jupyter = Jupyter(
            home,
            config={
                "BgStreamApp": {"providers": {"kept": provider}, "stop_grace": 0.1},
            },
        )
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._jupyter.start)
        headers = {"Authorization": f"token {self._jupyter.token}"}
        self._client = httpx.AsyncClient(
            base_url=self._jupyter.api, headers=headers, trust_env=False, verify=False, timeout=60
        )

    async def kill(self) -> None:
        await self._gone(self._jupyter.kill)

    async def stop(self) -> None:
        await self._gone(self._jupyter.stop)

    async def _gone(self, how: Any) -> None:
        await asyncio.to_thread(how)
        if self._client is not None:
            await self._client.aclose()

    async def submit(self, model: str, **fields: Any) -> None:
        body = {"id": f"{model}-job", "model": f"kept/{model}", "prompt": "Tell me.", **fields}
        (await self._asking.post("jobs", json=body)).raise_for_status()

    async def cancel(self, model: str) -> None:
        (await self._asking.post(f"jobs/{model}-job/cancel")).raise_for_status()

    async def job(self, model: str) -> dict[str, Any]:
        answer = await self._asking.get(f"jobs/{model}-job")
        return dict(answer.raise_for_status().json())

    async def until(self, model: str, **fields: Any) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                job = await self.job(model)
                if all(job[name] == value for name, value in fields.items()):
                    return job
                assert job["status"] not in ("failed",), job
                await asyncio.sleep(0.02)

    @property
    def _asking(self) -> httpx.AsyncClient:
        assert self._client is not None
        return self._client


@pytest.fixture
def service() -> ScriptedResponses:
    return ScriptedResponses({model: response(WORDS, reasoning=THOUGHT, hold_after=14) for model in MODELS})


@pytest.fixture
async def provider(service: ScriptedResponses) -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider(routes=service.routes) as provider:
        yield provider


@pytest.fixture
async def server(tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[Server]:
    server = Server(tmp_path, provider.base_url)
    yield server
    await server.stop()


async def test_answers_survive_death_of_server(
    server: Server, service: ScriptedResponses, provider: ScriptedProvider
) -> None:
    half = "".join(WORDS[:10])
    await server.start()
    for model in MODELS:
        await server.submit(model, on_restart="retry" if model == "asked-again" else "interrupt")
    for model in MODELS:
        await server.until(model, text=half, reasoning=THOUGHT)
    by_model: dict[str, Answered] = {answer.asked["model"]: answer for answer in service.answers}
    assert len(service.answers) == len(by_model) == len(MODELS)
    await server.kill()
    service.forgotten |= {by_model["forgotten"].id, by_model["asked-again"].id}
    by_model["too-old"].streams = False
    await server.start()

    gone = await server.until("forgotten", status="interrupted")
    assert (gone["error"]["code"], gone["text"], gone["attempt"]) == ("answer_gone", half, 1)
    assert gone["error"]["message"].startswith("kept no longer has this response")
    await server.until("asked-again", attempt=2, text=half)
    on = await server.until("goes-on", status="running", text=half)
    assert on["attempt"] == 1
    await server.cancel("cancelled")
    await service.until(lambda: by_model["cancelled"].cancels == 1, "was no cancel")
    # Killed once more, before anything new was said.
    await server.kill()
    await server.start()
    service.release(len(service.answers))
    for model in ("goes-on", "too-old"):
        done = await server.until(model, status="completed")
        assert (done["text"], done["reasoning"], done["attempt"]) == (TEXT, THOUGHT, 1)
        assert (done["usage"]["input_tokens"], done["usage"]["output_tokens"]) == (3, 4)
        assert done["earlier"] == []
    again = await server.until("asked-again", status="completed")
    assert (again["text"], again["attempt"], [it["text"] for it in again["earlier"]]) == (TEXT, 2, [half])

    assert (await server.job("cancelled"))["status"] == "cancelled"
    assert by_model["cancelled"].cancels == 1
    assert [by_model[model].cancels for model in MODELS if model != "cancelled"] == [0, 0, 0, 0]
    asked = [request.model for request in provider.requests if request.body and request.path == "/v1/responses"]
    assert sorted(asked) == sorted([*MODELS, "asked-again"])
    assert len(by_model["goes-on"].read_after) == 2
    assert by_model["too-old"].looks >= 1


async def test_stopped_server_leaves_answer_to_next_server(
    server: Server, service: ScriptedResponses, provider: ScriptedProvider
) -> None:
    await server.start()
    await server.submit("goes-on")
    await server.until("goes-on", text="".join(WORDS[:10]))
    await server.stop()
    assert service.answers[0].cancels == 0
    service.release()
    await server.start()
    done = await server.until("goes-on", status="completed")
    assert (done["text"], done["attempt"], len(service.answers)) == (TEXT, 1, 1)
