"""The fakes of the package keep their promises."""

from __future__ import annotations

import asyncio
import json
import random

import httpx
import pytest
from harness.demo import demo, serve_demo
from providers.conftest import Connect
from providers.speaking import decoded, of, read, text

import jupyter_bgstream.testing
from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.testing import FakeClock, Hold, Request, Reset, Script, ScriptedProvider, Send, answer, replay


def body_of(script: Script) -> bytes:
    return b"".join(step.data for step in script.steps if isinstance(step, Send))


class TestScripts:
    def test_answer_script_decodes_to_its_parts(self) -> None:
        said = decoded(body_of(answer("Hello,  wide\nworld ", reasoning=["h", "m"], usage=(1, 2))))
        assert text(said) == "Hello,  wide\nworld "
        assert text(said, "reasoning") == "hm"
        assert said[-2:] == [Usage(input_tokens=1, output_tokens=2), Completed(at=0.0, finish_reason="stop")]

    @pytest.mark.parametrize("after", [0, 2, 3, 7])
    def test_hold_after_places_the_hold(self, after: int) -> None:
        assert answer("a b c", hold_after=after).steps.index(Hold()) == min(after, 3)

    def test_first_cuts_the_script_and_appends_steps(self) -> None:
        broken = answer("a b c", hold_after=1).first(2, Reset())
        assert [type(step) for step in broken.steps] == [Send, Hold, Send, Reset]

    @pytest.mark.parametrize("size", [0, 1, 2, 1000])
    def test_replay_keeps_every_byte(self, size: int) -> None:
        data = random.Random(size).randbytes(size)
        assert body_of(replay(data, cuts=1)) == body_of(replay(data)) == body_of(replay([data])) == data
        assert replay(data, cuts=1) == replay(data, cuts=1)


class TestServer:
    async def test_script_may_depend_on_the_request(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = lambda request: answer(request.json["messages"][-1]["content"])
        said, _ = await read(connect())
        assert text(said) == "What is a log?"

    async def test_release_resumes_held_requests_in_order(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("a b", hold_after=1)
        first = asyncio.create_task(read(connect()))
        await provider.held(1)
        second = asyncio.create_task(read(connect()))
        await provider.held(2)
        provider.release()
        await first
        assert not second.done()
        provider.release()
        assert text((await second)[0]) == "a b"

    async def test_release_before_the_hold_is_remembered(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("a b", hold_after=1)
        provider.release()
        assert text((await read(connect()))[0]) == "a b"

    async def test_close_by_the_server_is_recorded(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("a", done=False)
        await read(connect())
        request = await provider.request()
        assert await request.closed == request.closed_at
        assert not request.closed_by_client
        assert request.model == "one"

    async def test_wait_for_close_can_time_out(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("a b", hold_after=1)
        reading = asyncio.create_task(read(connect()))
        request = await provider.request()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(request.closed, 0)
        provider.release()
        await reading
        await request.closed

    async def test_wait_for_missing_request_fails_with_message(
        self, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jupyter_bgstream.testing.scripted_provider.PATIENCE", 0.01)
        with pytest.raises(TimeoutError, match="never 2 requests"):
            await provider.request(2)

    async def test_closing_the_server_ends_held_requests(self, connect: Connect) -> None:
        async with ScriptedProvider({"one": Script(steps=(Hold(),))}) as hanging:
            reading = asyncio.create_task(read(connect(hanging.base_url)))
            await hanging.held()
        _, error = await reading
        assert error is not None

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [("GET", "/", b""), ("POST", "/v1/models", b""), ("POST", "/v1/chat/completions", b"{}")],
    )
    async def test_unknown_request_is_not_found(
        self, provider: ScriptedProvider, method: str, path: str, body: bytes
    ) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.request(method, f"http://127.0.0.1:{provider.port}{path}", content=body)
        assert response.status_code == 404
        assert response.json()["error"]["message"]

    @pytest.mark.parametrize("noise", [b"", b"GET", b"\x16\x03\x01", b"nonsense\r\n\r\n", b"A" * (2 << 20)])
    async def test_noise_closes_the_connection(self, provider: ScriptedProvider, noise: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(noise)
        writer.write_eof()
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass
        finally:
            writer.close()
        await provider.quiet()


def test_scripted_provider_runs_in_a_thread() -> None:
    with ScriptedProvider({"one": answer("a b", hold_after=1)}).in_thread() as provider:
        url = f"{provider.base_url}/chat/completions"
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("POST", url, json={"model": "one", "messages": []}) as response,
        ):
            provider.held()
            assert provider.request().json["messages"] == []
            provider.release()
            assert text(decoded(response.iter_bytes())) == "a b"
        provider.quiet()
        assert [request.closed_at is None for request in provider.requests] == [False]


class TestDemo:
    @pytest.mark.parametrize(
        ("model", "seconds"), [("tour", (25, 30)), ("quick", (4, 6)), ("slow", (55, 65)), ("echo", (0.5, 5))]
    )
    async def test_demo_declares_itself_and_paces_its_answer(self, model: str, seconds: tuple[float, float]) -> None:
        reply = demo()[model]
        assert callable(reply)
        script = reply(asked("Hi"))
        said = decoded(body_of(script))
        assert "demo model: a script, not an LLM" in text(said).splitlines()[0]
        assert of(said, Usage)[0].output_tokens > 10
        pauses = [step.seconds for step in script.steps if hasattr(step, "seconds")]
        assert seconds[0] < sum(pauses) < seconds[1]

    async def test_demo_tour_shows_markdown_features(self) -> None:
        reply = demo()["tour"]
        assert callable(reply)
        said = decoded(body_of(reply(asked("Hi"))))
        for mark in ("\n# ", "\n1. ", "\n| ", "\n```python\n", " $n$ ", "🎈"):
            assert mark in text(said)
        assert text(said, "reasoning")

    def test_demo_echo_counts_its_history(self) -> None:
        messages = [{"role": role, "content": role} for role in ("user", "assistant", "user")]
        with serve_demo(speed=1000) as base_url, httpx.Client(trust_env=False) as client:
            stream = client.post(f"{base_url}/chat/completions", json={"model": "echo", "messages": messages})
            listing = client.get(f"{base_url}/models").json()
        assert "saw 2 messages of history" in text(decoded(stream.content))
        assert "> user" in text(decoded(stream.content))
        assert [model["id"] for model in listing["data"]] == ["tour", "quick", "slow", "echo", "mood"]


def asked(prompt: str) -> Request:
    body = json.dumps({"messages": [{"role": "user", "content": prompt}]}).encode()
    return Request("POST", "/v1/chat/completions", {}, body)


class TestFakeClock:
    async def test_advance_wakes_due_sleepers_in_order(self) -> None:
        clock, woken = FakeClock(), []

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((seconds, clock.monotonic()))

        tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2, 9)]
        await clock.sleeping(4)
        clock.advance(2)
        await asyncio.wait(tasks[1:3])
        assert woken == [(1, 2.0), (2, 2.0)]
        clock.advance(7)
        await asyncio.gather(*tasks)
        assert [seconds for seconds, _ in woken] == [1, 2, 3, 9]
        assert clock.time() - FakeClock().time() == 9

    async def test_cancelled_sleeper_is_forgotten(self) -> None:
        clock = FakeClock()
        task = asyncio.create_task(clock.sleep(1))
        await clock.sleeping()
        task.cancel()
        await asyncio.wait([task])
        clock.advance(1)
        other = asyncio.create_task(clock.sleep(1))
        await clock.sleeping()
        clock.advance(1)
        await other

    async def test_sleep_of_zero_returns_at_once(self) -> None:
        await FakeClock().sleep(0)


def test_public_names_are_sorted_and_exist() -> None:
    names = jupyter_bgstream.testing.__all__
    assert names == sorted(names)
    assert all(hasattr(jupyter_bgstream.testing, name) for name in names)


async def test_kept_connection_serves_several_requests() -> None:
    async with (
        ScriptedProvider({"one": answer("one two")}, keep_alive=True) as provider,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        for _ in range(5):
            answered = await client.post(f"{provider.base_url}/chat/completions", json={"model": "one"})
            assert "[DONE]" in answered.text
        await provider.requests[-1].closed
        assert [request.outcome for request in provider.requests] == ["whole"] * 5
        assert provider.connections == 1
