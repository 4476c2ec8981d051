"""Google's Gemini over HTTP: the answer, errors, cancellation and the list of models."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from providers.conftest import Connect
from providers.gemini_samples import EVENTS, FULL, ROUTE
from providers.speaking import job, read

from jupyter_bgstream.providers import response_reader
from jupyter_bgstream.testing import Cut, Hold, Reset, Script, ScriptedProvider, Send, refusal, replay


class TestService:
    async def test_job_is_sent_and_answer_is_decoded(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.key = "AIza-secret"
        provider.routes[ROUTE] = replay(b"".join(FULL), cuts=1)
        said, error = await read(connect(format="gemini", key="AIza-secret"))
        assert (said, error) == (EVENTS, None)
        request = await provider.request()
        assert request.path == "/v1/models/one:streamGenerateContent?alt=sse"
        assert request.headers["x-goog-api-key"] == "AIza-secret"
        assert "authorization" not in request.headers

    async def test_http_request_escapes_the_model_name(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes[ROUTE] = replay(b"".join(FULL))
        _, error = await read(connect(format="gemini"), job("puppet/../../x?key=1"))
        assert error is None
        request = await provider.request()
        assert request.path == "/v1/models/..%2F..%2Fx%3Fkey%3D1:streamGenerateContent?alt=sse"

    async def test_answer_completes_while_connection_stays_open(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(response_reader, "REST_SECONDS", 0.2)
        provider.routes[ROUTE] = Script(steps=(Send(b"".join(FULL)), Hold()))
        assert await read(connect(format="gemini")) == (EVENTS, None)

    @pytest.mark.parametrize("then", [Cut(), Reset()])
    async def test_broken_connection_after_the_end_keeps_answer(
        self, provider: ScriptedProvider, connect: Connect, then: Cut | Reset
    ) -> None:
        provider.routes[ROUTE] = Script(steps=(*map(Send, FULL), then))
        assert await read(connect(format="gemini")) == (EVENTS, None)

    @pytest.mark.parametrize(
        ("status", "problem", "code"),
        [
            (
                400,
                {
                    "code": 400,
                    "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                },
                "unauthorized",
            ),
            (404, {"code": 404, "message": "models/one is not found", "status": "NOT_FOUND"}, "model_not_found"),
            (503, {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, "provider_error"),
        ],
    )
    async def test_error_response_has_code_and_message(
        self, provider: ScriptedProvider, connect: Connect, status: int, problem: dict[str, Any], code: str
    ) -> None:
        provider.routes[ROUTE] = refusal(status, {"error": problem})
        _, error = await read(connect(format="gemini", key="AIza-secret"))
        assert error is not None
        assert (error.code, problem["message"] in error.message) == (code, True)

    async def test_cancel_closes_the_socket(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes[ROUTE] = Script(steps=(Send(b"".join(FULL[:4])), Hold()))
        reading = asyncio.create_task(read(connect(format="gemini")))
        await provider.held()
        reading.cancel()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_status_lists_models(self, provider: ScriptedProvider, connect: Connect) -> None:
        models = [{"name": "models/gemini-x", "supportedGenerationMethods": ["generateContent"]}]
        provider.routes["GET /v1/models"] = refusal(200, {"models": models})
        status = await connect(format="gemini", key="AIza-secret").status()
        assert (status.kind, status.models, status.error) == ("gemini", ("puppet/gemini-x",), None)
        request = await provider.request()
        assert request.path == "/v1/models?pageSize=1000"
        assert request.headers["x-goog-api-key"] == "AIza-secret"
