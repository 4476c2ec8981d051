"""The handle of a job in a script, against a real server."""

from __future__ import annotations

import asyncio
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_bgstream.client import (
    ConflictError,
    IncompleteAnswerError,
    InvalidRequestError,
    NotFoundError,
    job,
    jobs,
    submit,
)
from jupyter_bgstream.client.threads import thread
from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.core.errors import TooLargeError
from jupyter_bgstream.testing import Cut, ThreadedProvider, answer

pytestmark = pytest.mark.usefixtures("script")


def test_ended_job_has_text_and_usage() -> None:
    asked = submit("Say hello.")
    assert asked.result(60) == "Hello, world"
    assert (asked.status, asked.model, asked.title) == ("completed", "test/hello", "Say hello.")
    assert asked.usage == {
        "input_tokens": 3,
        "output_tokens": 2,
        "cached_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "cost": None,
        "cost_estimated": False,
    }
    assert asked.error is None
    assert asked.wait() is asked


def test_deltas_stream_and_concatenate_to_text(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two 🙂 three", reasoning="hm ", hold_after=3)
    asked = submit("x", model="test/held")
    pieces = iter(asked)
    early = ""
    while early != "one two ":
        early += next(pieces)
    assert (asked.text, asked.reasoning, asked.status) == ("one two ", "hm ", "running")
    provider.held()
    provider.release()
    assert early + "".join(pieces) == asked.text == "one two 🙂 three"
    assert "".join(asked) == asked.text  # again, from the beginning
    assert "".join(job(asked.id)) == asked.text  # and through another handle


def test_each_reader_of_one_handle_gets_all_text(provider: ThreadedProvider) -> None:
    text = "".join(f"word {number} " for number in range(300))
    provider.scripts["long"] = answer(text, hold_after=100)
    asked = submit("x", model="test/long")
    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(lambda: "".join(asked)) for _ in range(4)]
        waiter = pool.submit(asked.result)
        provider.held()
        assert text.startswith(asked.text)
        provider.release()
        assert {reader.result() for reader in readers} == {text} == {waiter.result()}


async def test_job_can_be_awaited_and_iterated_in_running_loop(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")

    async def read() -> str:
        return "".join([delta async for delta in asked])

    both = asyncio.gather(read(), _result(asked))
    await asyncio.to_thread(provider.held)
    provider.release()
    assert await both == ["one two", "one two"]


async def test_blocking_call_works_in_running_loop() -> None:
    assert submit("x").result() == "Hello, world"


async def test_cancelled_await_does_not_cancel_job(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")
    waiting = asyncio.create_task(_result(asked))
    await asyncio.to_thread(provider.held)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    provider.release()
    assert await asked == "one two"


async def _result(asked: object) -> str:
    return await asked  # type: ignore[misc]


def test_timeout_of_wait_does_not_cancel_job(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")
    provider.held()
    with pytest.raises(TimeoutError, match=rf"^The job {asked.id} has not ended after 0\.01 s; it continues\.$"):
        asked.wait(timeout=0.01)
    provider.release()
    assert asked.result() == "one two"


def test_failed_job_keeps_text_and_result_raises(provider: ThreadedProvider) -> None:
    provider.scripts["broken"] = answer("one two three").first(2, Cut())
    asked = submit("x", model="test/broken")
    assert asked.wait() is asked
    assert (asked.status, asked.text) == ("failed", "one two ")
    assert asked.error is not None
    with pytest.raises(IncompleteAnswerError, match=asked.id) as failed:
        asked.result()
    assert (failed.value.code, failed.value.job) == (asked.error.code, asked)
    with pytest.raises(IncompleteAnswerError):
        asyncio.run(_result(asked))


def test_deltas_of_failed_answer_precede_its_error(provider: ThreadedProvider) -> None:
    provider.scripts["broken"] = answer("one two three").first(2, Cut())
    pieces = iter(submit("x", model="test/broken"))
    text = ""
    while text != "one two ":
        text += next(pieces)
    with pytest.raises(IncompleteAnswerError):
        next(pieces)


def test_cancel_stops_provider_and_keeps_text(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")
    assert next(iter(asked)) == "one "
    assert asked.cancel() is asked
    assert (asked.status, asked.text, asked.error) == ("cancelled", "one ", None)
    with pytest.raises(IncompleteAnswerError, match="was cancelled") as stopped:
        asked.result()
    assert stopped.value.code == "cancelled"
    assert asked.cancel().status == "cancelled"
    provider.quiet()


def test_cancel_ends_wait_in_another_thread(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")
    seen: list[str] = []
    waiting = threading.Thread(target=lambda: seen.append(asked.wait().status))
    waiting.start()
    provider.held()
    asked.cancel()
    waiting.join(30)
    assert seen == ["cancelled"]


def test_same_id_is_one_job_or_conflict() -> None:
    first = submit("x", id="only-once-1")
    assert submit("x", id="only-once-1").id == first.id
    with pytest.raises(ConflictError):
        submit("something else", id="only-once-1")


def test_refusal_of_server_is_typed_error() -> None:
    with pytest.raises(InvalidRequestError, match="model") as refused:
        submit("x", model="no-slash")
    assert refused.value.field == "model"
    with pytest.raises(NotFoundError):
        job("no-such-job")
    with pytest.raises(NotFoundError):
        job("../status")


def test_invalid_request_is_refused_with_reason_before_it_is_sent(sent: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="is a lone surrogate"):
        submit("\ud800")
    with pytest.raises(InvalidRequestError, match="a object is not a text"):
        submit("x", params={"seed": object()})
    with pytest.raises(TooLargeError, match=r"33.0 MiB; the limit is 32 MiB\. Send less"):
        submit("x" * (33 * 1024 * 1024))
    message = {"role": "user", "content": "x"}
    for prompt in (3, None, message, ["x"], [message, "x"]):
        with pytest.raises(InvalidRequestError, match="The prompt must be a text, or a list of messages"):
            submit(prompt)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="tags must be a list of texts"):
        submit("x", tags="abc")
    with pytest.raises(InvalidRequestError, match="params must be a dict, not a list"):
        submit("x", params=[1])  # type: ignore[arg-type]
    assert sent == []
    with pytest.raises(InvalidRequestError, match="is a lone surrogate"):
        thread("\ud800").delete()
    assert sent == ["GET threads"]  # to test the connection, because a deletion is not repeated


def test_traceback_of_error_omits_internal_frames(provider: ThreadedProvider) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        submit("x", model="no-slash")
    assert [frame.name for frame in traceback.extract_tb(refused.value.__traceback__)][1:] == ["submit", "run"]

    provider.scripts["held"] = answer("one two", hold_after=1)
    held = submit("x", model="test/held")
    with pytest.raises(TimeoutError) as late:
        held.wait(0.01)
    held.cancel()
    assert [frame.name for frame in traceback.extract_tb(late.value.__traceback__)][1:] == ["wait", "run"]


def test_job_is_found_by_id_prefix_and_short_id() -> None:
    twins = [submit("x", id=f"double-000{number}") for number in range(2)]
    assert job("double-0000") == twins[0]
    with pytest.raises(InvalidRequestError, match=r"2 jobs begin with 'double-'\. Use a longer prefix of the id"):
        job("double-")
    for nobody in ("", "ouble-0000", "double-0000-r1"):
        with pytest.raises(NotFoundError):
            job(nobody)
    rows = [submit("x", id=f"map-0123456789abcdef-r{number}") for number in (1, 11)]
    shown = [line.split()[0] for line in str(jobs(limit=2)).splitlines()[1:]]
    assert shown == ["map-0123-r11", "map-0123-r1"]
    assert [job(each) for each in shown] == rows[::-1]


def test_all_submit_arguments_reach_server(provider: ThreadedProvider) -> None:
    provider.scripts["thread"] = answer("Fine.")
    ask = submit(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How are you?"}],
        model="test/thread",
        params={"temperature": 0.5},
        thread="trip",
        title="Small talk",
        tags=["a", "b"],
        batch="g1",
        priority="bulk",
        on_restart="retry",
    )
    ask.result()
    sent = provider.requests[-1].json
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "How are you?"]
    assert sent["temperature"] == 0.5
    assert (ask.title, ask.thread) == ("Small talk", "trip")
    for query in ({"thread": "trip"}, {"tag": "b"}, {"batch": "g1"}):
        assert [found.id for found in jobs(**query)] == [ask.id]  # type: ignore[arg-type]
    assert [found.id for found in jobs(limit=1)] == [ask.id]
    assert ask.id not in {found.id for found in jobs(status="failed")}


def test_job_as_last_expression_is_live_view(provider: ThreadedProvider) -> None:
    provider.scripts["html"] = answer("See <b>this</b> and `<that>`", hold_after=4)
    asked = submit("x", model="test/html")
    said = ""
    for piece in asked:
        said += piece
        if said.endswith("`<that>`"):
            break
    bundle = asked._repr_mimebundle_()
    assert bundle[BUNDLE_MIME] == {
        "id": asked.id,
        "cursor": asked._follower.cursor,
        "status": "running",
        "model": "test/html",
    }
    assert bundle["text/markdown"] == "See &lt;b>this&lt;/b> and <code>&#60;that&#62;</code>\n\n*Running…*"
    assert bundle["text/plain"] == f"See <b>this</b> and `<that>`\n\nRunning… (job {asked.id})"
    provider.release()
    asked.wait()
    assert asked._repr_mimebundle_()["text/markdown"] == "See &lt;b>this&lt;/b> and <code>&#60;that&#62;</code>"
    assert repr(asked) == f"<Job {asked.id} test/html completed>"
