"""An async generator as a provider runs in its own loop and keeps every promise of an HTTP provider."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from providers.speaking import job, of, read, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.plugin import Finish, Reasoning
from jupyter_bgstream.providers.plugins import generator
from jupyter_bgstream.providers.plugins.generator import GeneratorProvider
from jupyter_bgstream.providers.plugins.validation import MAX_DELTA
from jupyter_bgstream.providers.port import Provider

KEY = "sk-canary-4711"


def serve(agent: Callable[..., Any], **fields: Any) -> GeneratorProvider:
    return GeneratorProvider("agent", agent, environ={"SOME_API_KEY": KEY}, **fields)


def yielding(*items: Any) -> Callable[..., Any]:
    async def agent(messages: list[Any], model: str, params: dict[str, Any]) -> AsyncIterator[Any]:
        for item in items:
            yield item

    return agent


async def failure(agent: Callable[..., Any], **fields: Any) -> ProviderError:
    said, error = await read(serve(agent, **fields), job("agent/one"))
    assert error is not None
    assert not of(said, Completed)
    return error


async def test_yielded_items_become_events() -> None:
    found = [
        Reasoning("Hm. "),
        "one ",
        Citation(url="https://a.example", title="A"),
        Usage(output_tokens=1),
        "two",
        Citation(url="https://a.example"),
        ToolCall(id="c", name="look", arguments="{}"),
        Usage(input_tokens=3, output_tokens=2),
    ]
    provider: Provider = serve(yielding(*found))
    said, error = await read(provider, job("agent/one"))
    assert error is None
    assert (text(said), text(said, "reasoning")) == ("one two", "Hm. ")
    assert of(said, Citation) == [found[2]]
    assert of(said, ToolCall) == [found[6]]
    assert of(said, Usage) == [found[7]]
    assert said[-2:] == [found[7], Completed(at=0.0, finish_reason="stop")]


async def test_generator_receives_messages_model_and_params() -> None:
    given: list[Any] = []

    async def agent(messages: list[Any], model: str, params: dict[str, Any]) -> AsyncIterator[str]:
        given.extend([messages, model, params, threading.current_thread()])
        yield "yes"

    image = ImagePart(media_type="image/png", data=b"\x89")
    asked = job(
        "agent/a/b",
        params={"temperature": 1},
        history=[Message(role="user", content="Before"), Message(role="assistant", content="Yes")],
    )
    await read(serve(agent), asked)
    assert given[0][0] == {"role": "user", "content": "Before"}
    assert len(given[0]) == 3
    assert given[1:3] == ["a/b", {"temperature": 1}]
    assert given[3] not in (threading.main_thread(), threading.current_thread())
    turn = Message(role="user", content=(TextPart(text="What is this?"), image))
    assert generator._message(turn)["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iQ=="}},
    ]


@pytest.mark.parametrize("reason", ["length", "tool_calls"])
async def test_yielded_finish_sets_the_finish_reason(reason: str) -> None:
    said, error = await read(serve(yielding("one", Finish(reason))), job("agent/one"))
    assert error is None
    assert [end.finish_reason for end in of(said, Completed)] == [reason]


async def test_empty_generator_completes() -> None:
    said, error = await read(serve(yielding()), job("agent/one"))
    assert (said, error) == ([Completed(at=0.0, finish_reason="stop")], None)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (7, "It yielded int"),
        (b"bytes", "It yielded bytes"),
        (None, "It yielded NoneType"),
        (Completed(at=0.0, finish_reason="stop"), "It yielded Completed"),
        (Citation(url=None), "It yielded an invalid Citation"),  # type: ignore[arg-type]
        (Usage(output_tokens="7"), "It yielded an invalid Usage"),  # type: ignore[arg-type]
        (Usage(output_tokens=-1), "It yielded an invalid Usage: output_tokens is -1."),
        (Usage(input_tokens=2**62), "input_tokens is 4611686018427387904."),
        (Usage(cost=-0.5), "cost is -0.5 USD."),
        (Usage(cost=1e308), "cost is 1e+308 USD."),
        (Finish(7), "It yielded an invalid Finish"),  # type: ignore[arg-type]
        (ToolCall(id="c", name="x", arguments={"a": object()}), "It yielded an invalid ToolCall"),  # type: ignore[arg-type]
    ],
)
async def test_invalid_item_fails_with_message(item: Any, words: str) -> None:
    said, error = await read(serve(yielding("one", item, "two")), job("agent/one"))
    assert text(said) == "one"
    assert error is not None
    assert error.code == "provider_error"
    assert words in error.message


async def test_text_of_any_kind_is_made_storable() -> None:
    class Odd(str):
        def __str__(self) -> str:
            return "something else"

    said, error = await read(serve(yielding("\ud83d", "", Odd("odd"), "x" * 150_000)), job("agent/one"))
    assert error is None
    assert text(said) == "?odd" + "x" * 150_000
    assert all(
        type(event.text) is str and 0 < len(event.text) <= MAX_DELTA for event in said if isinstance(event, Delta)
    )


async def raising(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
    yield "half "
    raise ValueError(f"No luck with {KEY}")


async def leaving(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
    yield "half "
    raise SystemExit(1)


async def refusing(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
    yield "half "
    raise ProviderError(f"Come again, {KEY}.", code="rate_limited", transient=True, retry_after=7)


async def not_one(messages: Any, model: str, params: Any) -> str:
    return "an answer"


def plain(messages: Any, model: str, params: Any) -> Any:
    yield "a piece"


async def wrong_arguments(messages: Any) -> AsyncIterator[str]:
    yield "a piece"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (raising, "Details: ValueError: No luck with [key]"),
        (leaving, "SystemExit"),
        (not_one, "It returned coroutine, not an async generator"),
        (plain, "It returned generator, not an async generator"),
        (wrong_arguments, "TypeError"),
    ],
)
async def test_exception_is_reported_with_cause_and_without_key(agent: Callable[..., Any], words: str) -> None:
    error = await failure(agent)
    assert (error.code, error.transient) == ("provider_error", False)
    assert words in error.message
    assert error.message.startswith("The plug-in agent failed.")
    assert KEY not in error.message


async def test_raised_provider_error_is_kept() -> None:
    error = await failure(refusing)
    assert (error.code, error.transient, error.retry_after) == ("rate_limited", True, 7)
    assert error.message == "Come again, [key]."


async def test_idle_and_total_timeouts_fail_job() -> None:
    async def silent(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        yield "one"
        await asyncio.sleep(20)

    async def endless(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        while True:
            yield "x"
            await asyncio.sleep(0.01)

    error = await failure(silent, idle_timeout=0.1)
    assert error.code == "idle_timeout"
    error = await failure(endless, total_timeout=0.2, idle_timeout=5)
    assert error.code == "total_timeout"


async def test_blocking_generator_does_not_block_the_server_loop() -> None:
    held = threading.Event()

    async def blocking(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        yield "one "
        yield "two" if held.wait(60) else "the server's loop could not run"  # as time.sleep would

    said = ""
    async with aclosing(serve(blocking).stream(job("agent/one"))) as stream:
        async for batch in stream:
            said += text(batch)
            held.set()
    assert said == "one two"


async def test_busy_generator_is_limited_by_backpressure() -> None:
    made = 0
    closed = threading.Event()

    async def busy(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        nonlocal made
        try:
            while True:
                made += 1
                yield "x" * 1000
        finally:
            closed.set()

    taken = 0
    async with aclosing(serve(busy).stream(job("agent/one"))) as stream:
        while taken < 2 * generator.MAX_UNREAD:
            taken += len(text(await anext(stream)))
            assert made * 1000 - taken <= generator.MAX_UNREAD + 2000  # more it does not make before somebody takes it
    assert closed.is_set()


LEFT = """
import asyncio, time
from providers.speaking import job
from providers.test_generators import serve

async def agent(messages, model, params):
    yield await asyncio.to_thread(str.upper, "called")
    await asyncio.to_thread(time.sleep, 60)

async def main():
    stream = serve(agent).stream(job("agent/one"))
    print((await anext(stream))[0].text)
    await stream.aclose()

asyncio.run(main())
"""


class TestCancel:
    async def test_leftover_thread_does_not_block_process_exit(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LEFT, env=os.environ | {"PYTHONPATH": path}, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(60):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert (said.strip(), process.returncode) == (b"CALLED", 0)

    async def test_close_waits_for_finally_of_generator(self) -> None:
        closed = threading.Event()

        async def careful(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
            try:
                yield "one"
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                closed.set()

        async with aclosing(serve(careful).stream(job("agent/one"))) as stream:
            await anext(stream)
        assert closed.is_set()

    async def test_cancelled_reader_closes_the_generator(self) -> None:
        closed, begun = threading.Event(), threading.Event()

        async def careful(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
            try:
                begun.set()
                await asyncio.sleep(60)
                yield "never"
            finally:
                closed.set()

        reading = asyncio.create_task(read(serve(careful), job("agent/one")))
        assert await asyncio.to_thread(begun.wait, 60)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert closed.is_set()

    @pytest.mark.parametrize("blocks", [True, False])
    async def test_generator_that_ignores_cancel_is_abandoned(
        self, blocks: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(generator, "GRACE_SECONDS", 0.1)
        inside, let_go, gone = threading.Event(), threading.Event(), threading.Event()

        async def stubborn(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
            yield "one"
            inside.set()
            if blocks:
                let_go.wait(60)
            while not let_go.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue
            gone.set()
            yield "two"

        async with aclosing(serve(stubborn).stream(job("agent/one"))) as stream:
            await anext(stream)
            assert await asyncio.to_thread(inside.wait, 60)
        assert not gone.is_set()
        assert "still runs after job" in caplog.text
        let_go.set()
        assert gone.wait(60)


async def test_concurrent_jobs_do_not_mix() -> None:
    async def count(messages: list[dict[str, Any]], model: str, params: Any) -> AsyncIterator[str]:
        for _ in range(50):
            yield messages[-1]["content"]
            await asyncio.sleep(0)

    service = serve(count)
    answers = await asyncio.gather(*(read(service, job("agent/one", prompt=str(number))) for number in range(10)))
    assert [text(said) for said, _ in answers] == [str(number) * 50 for number in range(10)]


async def test_status_lists_configured_models() -> None:
    assert (await serve(yielding(), models=("a", "b")).status()).models == ("agent/a", "agent/b")
    assert serve(yielding()).config_error() is None


async def test_large_item_is_split_into_bounded_batches() -> None:
    closed = threading.Event()

    async def large(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 5_000_000
        finally:
            closed.set()

    async with aclosing(serve(large).stream(job("agent/one"))) as stream:
        assert len(text(await anext(stream))) <= generator.MAX_UNREAD + MAX_DELTA
    assert closed.is_set()  # the first batch was one too many for its reader
    said, error = await read(serve(yielding("x" * 5_000_000)), job("agent/one"))
    assert (len(text(said)), error) == (5_000_000, None)


async def test_empty_strings_do_not_prevent_idle_timeout() -> None:
    turns: list[str] = []

    async def empty(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        yield "x"
        asyncio.get_running_loop().call_soon(turns.append, "another job")
        try:
            while True:
                yield ""
        finally:
            turns.append("the end")

    error = await failure(empty, idle_timeout=0.2, total_timeout=5)
    assert error.code == "idle_timeout"
    assert turns == ["another job", "the end"]
