"""Anthropic's Messages over HTTP: the answer, errors, cancellation and the list of models."""

from __future__ import annotations

import asyncio

import pytest
from providers.conftest import Connect
from providers.messages_samples import EVENTS, FULL
from providers.speaking import of, read

from jupyter_bgstream.core.events import Completed
from jupyter_bgstream.testing import Hold, Script, ScriptedProvider, Send, refusal, replay


class TestService:
    async def test_job_is_sent_and_answer_is_decoded(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.key = "sk-ant-secret"
        provider.routes["POST /v1/messages"] = replay(b"".join(FULL), cuts=1)
        said, error = await read(connect(format="messages", key="sk-ant-secret"))
        assert (said, error) == (EVENTS, None)
        request = await provider.request()
        assert request.headers["x-api-key"] == "sk-ant-secret"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in request.headers
        assert request.json["model"] == "one"

    async def test_answer_completes_while_connection_stays_open(
        self, provider: ScriptedProvider, connect: Connect
    ) -> None:
        provider.routes["POST /v1/messages"] = Script(steps=(Send(b"".join(FULL)), Hold()))
        assert await read(connect(format="messages")) == (EVENTS, None)

    async def test_stop_reason_alone_ends_in_idle_timeout(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["POST /v1/messages"] = Script(steps=(Send(b"".join(FULL[:-1])), Hold()))
        said, error = await read(connect(format="messages", idle_timeout=0.2))
        assert of(said, Completed) == []
        assert error is not None
        assert error.code == "idle_timeout"

    async def test_error_response_has_code_and_message(self, provider: ScriptedProvider, connect: Connect) -> None:
        problem = {"type": "error", "error": {"type": "not_found_error", "message": "model: one"}}
        provider.routes["POST /v1/messages"] = refusal(404, problem)
        _, error = await read(connect(format="messages"))
        assert error is not None
        assert (error.code, "model: one" in error.message) == ("model_not_found", True)

    async def test_html_response_error_names_the_format(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["POST /v1/messages"] = refusal(200, "<html>Sign in</html>")
        _, error = await read(connect(format="messages"))
        assert error is not None
        assert (error.code, "a stream of Anthropic Messages" in error.message) == ("malformed_stream", True)

    async def test_cancel_closes_the_socket(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["POST /v1/messages"] = Script(steps=(Send(b"".join(FULL[:17])), Hold()))
        reading = asyncio.create_task(read(connect(format="messages")))
        await provider.held()
        reading.cancel()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_status_lists_models(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["GET /v1/models"] = refusal(200, {"data": [{"id": "claude-a"}], "has_more": False})
        status = await connect(format="messages", key="sk-ant-secret").status()
        assert (status.kind, status.models, status.error) == ("messages", ("puppet/claude-a",), None)
        request = await provider.request()
        assert request.path == "/v1/models?limit=1000"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.headers["x-api-key"] == "sk-ant-secret"
