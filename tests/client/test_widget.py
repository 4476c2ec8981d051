"""Widgets and updated displays in kernels that no Jupyter server has started: their messages and the rate of these."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import chain, pairwise
from typing import Any

import msgspec
import pytest
from client.conftest import PATIENCE, Kernel
from client.relay import Relay
from client.test_lost import relay  # noqa: F401 - a fixture
from harness.jupyter import Jupyter, of_this_machine
from jupyter_client.manager import KernelManager

from jupyter_bgstream.client import submit
from jupyter_bgstream.client.default_connection import default_background
from jupyter_bgstream.client.rest_client import Api
from jupyter_bgstream.client.widgets.base import PageWidget
from jupyter_bgstream.client.widgets.batch import BatchWidget
from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.core.events import Event
from jupyter_bgstream.core.state import Answer, fold
from jupyter_bgstream.testing import ThreadedProvider, answer
from jupyter_bgstream.testing.scripts import Pause, Script, Send

WORDS = [f"word{number} " for number in range(60)]
TEXT = "".join(WORDS)
RATE = 4.0  # updates per second, of one widget or one display

Message = dict[str, Any]


class LooseKernel(Kernel):
    """A kernel that was started by no Jupyter server, as in VS Code; it finds a server by its runtime file."""

    def __init__(self, server: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as environment:
            environment.setenv("JUPYTER_RUNTIME_DIR", str(server.runtime))
            environment.setenv("IPYTHONDIR", str(server.home / "ipython"))
            self._manager = KernelManager()
            self._manager.start_kernel()
        self._connection_file = self._manager.connection_file
        self._connect()

    def until(self, name: str, value: object) -> list[Message]:
        """Return all that comes until a trait of a widget has this value in the page."""
        return self.messages(lambda message: state(message).get(name) == value)

    def messages(self, last: Any) -> list[Message]:
        """Return all that comes up to the message for which ``last`` is true."""
        found: list[Message] = []
        while not (found and last(found[-1])):
            found.append(self._client.get_iopub_msg(timeout=PATIENCE))
        return found

    def tell(self, comm: str, content: Message) -> None:
        """Send a custom message to a widget, as its page does."""
        data = {"comm_id": comm, "data": {"method": "custom", "content": content}}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", data))

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def loose(server: Jupyter) -> Iterator[LooseKernel]:
    with pytest.MonkeyPatch.context() as environment:
        for name in filter(of_this_machine, list(os.environ)):
            environment.delenv(name)
        with closing(LooseKernel(server, environment)) as kernel:
            setup = (
                "import time\nfrom jupyter_bgstream.client import display_updates, job, submit\n"
                "from jupyter_bgstream.client.job_display import JobsDisplay\nshell = get_ipython()"
            )
            assert kernel.run(setup).reply["status"] == "ok"
            yield kernel


def state(message: Message) -> Message:
    """Return the changes of a widget's state in a message."""
    data = message["content"].get("data", {})
    found = data.get("state", {}) if message["msg_type"] in {"comm_open", "comm_msg"} else {}
    assert isinstance(found, dict)
    return found


def is_idle(message: Message) -> bool:
    return bool(message["content"].get("execution_state") == "idle")


def displayed(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message["msg_type"] in {"display_data", "update_display_data"}]


def plain(message: Message) -> str:
    return str(message["content"]["data"]["text/plain"]) if displayed([message]) else ""


def relayed(messages: list[Message]) -> Answer:
    """Return the answer that a page builds from these messages."""
    log: Message = {}
    for message in messages:
        log |= {name: value for name, value in state(message).items() if name.startswith("log_")}
    entries = [json.loads(log[f"log_{number}"]) for number in range(len(log))]
    events = [event for entry in entries if entry["type"] == "events" for event in entry["events"]]
    return fold(msgspec.convert(events, list[Event]))


def slow(script: Script, seconds: float) -> Script:
    """Return the script with a pause after each piece."""
    pairs = ((step, Pause(seconds)) if isinstance(step, Send) else (step,) for step in script.steps)
    return msgspec.structs.replace(script, steps=tuple(chain.from_iterable(pairs)))


def span(messages: list[Message]) -> float:
    times = [message["header"]["date"] for message in messages]
    assert all(isinstance(time, datetime) for time in times)
    return (times[-1] - times[0]).total_seconds()


def test_widget_is_updated_while_cell_runs(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer(WORDS, hold_after=20)
    running = loose.send(
        "asked = submit('x', model='test/held')\nview = asked.view()\n"
        "view.observe(lambda change: print('observed', change.new), 'status')\ndisplay(view)\n"
        "while view.status != 'completed' or view.text != asked.text: time.sleep(0.01)"
    )
    before = loose.messages(lambda message: "word19" in json.dumps(state(message)))
    assert relayed(before).text == "".join(WORDS[:20])
    assert relayed(before).status == "running"
    provider.release()
    after = loose.until("status", "completed")  # the cell still runs, for it waits for the same
    assert not [message for message in before + after if is_idle(message)]
    rest = loose.messages(is_idle)
    assert relayed(before + after + rest).text == TEXT
    # What an observer prints stands below the cell that made the widget, from whichever thread.
    printed = [message for message in before + after + rest if message["msg_type"] == "stream"]
    assert "".join(message["content"]["text"] for message in printed).splitlines() == [
        "observed running",
        "observed completed",
    ]
    assert {message["parent_header"]["msg_id"] for message in printed} == {running}
    assert loose.ask("(view.text == asked.text, view.cost, view.error, view.newest == asked.id)") == (
        "(True, None, None, True)"
    )


def test_relayed_data_is_linear_and_its_rate_is_bounded(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["slow"] = slow(answer(WORDS), 0.025)
    sent = loose.send(
        "view = submit('x', model='test/slow').view()\nwhile view.status != 'completed': time.sleep(0.01)"
    )
    messages = loose.messages(is_idle)
    assert messages[-1]["parent_header"]["msg_id"] == sent
    updates = [message for message in messages if message["msg_type"] == "comm_msg"]
    logs = [message for message in updates if any(name.startswith("log_") for name in state(message))]
    assert len(logs) > 3  # more than these, so that the text comes in pieces, on a slow machine in few
    # Four more: the record of the job before, the end, the record after, and one if the first message was sent late.
    assert len(logs) <= span(updates) * RATE + 4
    assert relayed(messages).text == TEXT
    whole = json.dumps([state(message) for message in updates])
    assert all(whole.count(word.strip() + " ") == 1 for word in WORDS)
    assert len(whole) < len(TEXT) + 500 * len(updates)


def test_only_page_without_socket_gets_relayed_log(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer(WORDS, hold_after=20)
    loose.run("asked = submit('x', model='test/held')\nview = asked.view()\nwhile not view.text: time.sleep(0.01)")
    comm = loose.ask("view.comm.comm_id").strip("'")
    loose.tell(comm, {"type": "live"})
    assert (
        loose.ask("(asked.text, view._relaying)[1]") == "False"
    )  # a request to the server is handled after the message before it
    provider.release()
    quiet = loose.until("status", "completed")
    assert "word40" not in json.dumps([state(message) for message in quiet])
    loose.tell(comm, {"type": "relay", "have": 0})
    assert relayed(loose.messages(lambda message: "word59" in json.dumps(state(message)))).text == TEXT
    # A page that is loaded anew asks for all of the state.
    assert loose.ask("'log_0' in view.get_state()") == "True"


def test_closed_widget_stops_reading_and_job_continues(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer(WORDS, hold_after=20)
    loose.run("asked = submit('x', model='test/held')\nview = asked.view()\nwhile not view.text: time.sleep(0.01)")
    loose.run("view.close()")
    provider.release()
    assert loose.ask("(asked.result() == view.text, view.status, view._running.cancelled())") == (
        "(False, 'running', True)"
    )


def test_widget_output_has_job_bundle_as_fallback(loose: LooseKernel) -> None:
    (shown,) = loose.run("asked = submit('x', id='widget-bundle')\nasked.wait().view()").bundles
    assert set(shown) == {
        BUNDLE_MIME,
        "text/markdown",
        "text/plain",
        "application/vnd.jupyter.widget-view+json",
    }
    assert shown[BUNDLE_MIME]["id"] == "widget-bundle"


def test_widget_follows_its_retry(script: None, provider: ThreadedProvider, called: Any) -> None:
    provider.scripts["twice"] = answer("first")
    view = submit("x", model="test/twice").view()
    called(view, lambda: view.status == "completed")
    provider.scripts["twice"] = answer("second")
    view._receive(None, {"type": "retry", "job": view.id, "call": "1"}, None)
    called(view, lambda: view.text == "second" and view.status == "completed")
    assert view.newest != view.id
    later = submit("x", id=view.id, model="test/twice").view()  # the same job, in another widget
    called(later, lambda: later.text == "second")
    assert later.newest == view.newest
    view.close()
    later.close()


def test_widget_follows_retry_that_page_requested(script: None, provider: ThreadedProvider, called: Any) -> None:
    provider.scripts["twice"] = answer("first")
    job = submit("x", model="test/twice")
    view = job.view()
    called(view, lambda: view.status == "completed")
    provider.scripts["twice"] = answer("second")
    again = job.retry()
    view._receive(None, {"type": "follow", "job": again.id}, None)
    again.wait()
    view._receive(None, {"type": "newest"}, None)
    called(view, lambda: view.text == "second" and view.status == "completed")
    assert view.newest == again.id
    view.close()


def test_failing_observer_is_reported_and_does_not_stop_updates(
    script: None, provider: ThreadedProvider, called: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: queue.SimpleQueue[str] = queue.SimpleQueue()
    monkeypatch.setattr(traceback, "print_exc", lambda: printed.put(str(sys.exc_info()[1])))
    provider.scripts["held"] = answer(WORDS, hold_after=20)
    view = submit("x", model="test/held").view()

    def fail(change: Any) -> None:
        raise ValueError(f"not {change.new}")

    view.observe(fail, "status")
    said = [printed.get(timeout=PATIENCE)]
    provider.release()
    while said[-1] != "not completed":
        said.append(printed.get(timeout=PATIENCE))
    called(view, lambda: view.text == TEXT)
    view.close()


def test_widget_reports_lost_server_and_waits_for_it(
    relay: Relay,  # noqa: F811
    provider: ThreadedProvider,
    called: Any,
) -> None:
    provider.scripts["held"] = answer(WORDS, hold_after=20)
    view = submit("x", model="test/held").view()
    called(view, lambda: view.text)
    relay.refuse()
    called(view, lambda: view.connection == "offline")
    provider.release()
    relay.listen()
    called(view, lambda: view.status == "completed")
    assert (view.text, view.connection) == (TEXT, "online")
    view.close()


@pytest.fixture
def called() -> Any:
    """Wait until a condition holds, looked at whenever a trait changes. Observers see all of a change at once."""

    def called(view: PageWidget, condition: Any) -> None:
        holds = threading.Event()

        def look(_: object = None) -> None:
            if condition():
                holds.set()

        view.observe(look)
        look()
        assert holds.wait(PATIENCE)
        view.unobserve(look)

    return called


SHOW = "asked = submit('x', model='test/{model}')\ndisplay_updates.publish(shell, JobsDisplay([asked]))\nasked.wait();"


def test_display_is_updated_while_cell_runs(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["slow"] = slow(answer(WORDS), 0.025)
    sent = loose.send(SHOW.format(model="slow"))
    messages = loose.messages(lambda message: plain(message) == TEXT)
    shown = displayed(messages)
    assert [message["msg_type"] for message in shown] == ["display_data"] + ["update_display_data"] * (len(shown) - 1)
    assert {message["parent_header"]["msg_id"] for message in shown} == {sent}
    assert len({message["content"]["transient"]["display_id"] for message in shown}) == 1
    busy = messages[: next((at for at, message in enumerate(messages) if is_idle(message)), None)]
    assert len(displayed(busy)) > 4
    assert len(shown) <= span(shown) * RATE + 2  # the first and the last
    texts = [plain(message).partition("\n\n")[0] for message in shown]
    assert texts[0].startswith("Queued…")
    assert all(before in after for before, after in pairwise(texts[1:]) if before.startswith("word"))


def test_long_text_is_sent_less_often(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["long"] = slow(answer(["x" * 10_000] * 30), 0.05)
    loose.send(SHOW.format(model="long"))
    shown = displayed(loose.messages(lambda message: plain(message) == "x" * 300_000))
    sizes = [len(json.dumps(message["content"])) for message in shown]
    assert sizes[-1] > 600_000  # Markdown and plain text
    assert sum(sizes[:-1]) < 1_000_000


def test_display_is_not_updated_when_page_reads_log(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["slow"] = slow(answer(WORDS), 0.005)
    ran = kernel.run(
        "from jupyter_bgstream.client import display_updates, submit\n"
        "from jupyter_bgstream.client.job_display import JobsDisplay\nshell = get_ipython()\n"
        + SHOW.format(model="slow")
    )
    assert [output["type"] for output in ran.outputs] == ["display_data"]
    assert ran.outputs[0]["transient"] == {}
    assert kernel.ask("display_updates._running") == "set()"


class Announced:
    """As much of a batch as its widget needs."""

    def __init__(self, server: Jupyter, provider: ThreadedProvider, name: str = "batch") -> None:
        self.id = f"widget-{name}"
        self._background = default_background
        provider.scripts["row"] = answer("a row")
        provider.scripts["held-row"] = answer(WORDS, hold_after=20)
        models = ["test/row", "test/held-row", "test/nothing"]
        jobs = [{"id": f"widget-{name}-{model[5:]}", "model": model, "prompt": "x"} for model in models]
        with server.client() as client:
            batch = {"id": self.id, "total": 3, "title": "Rows", "jobs": jobs}
            client.post("batches", json=batch).raise_for_status()

    def placeholder(self) -> dict[str, Any]:
        return {"text/plain": "Rows"}


def test_batch_widget_has_batch_as_server_sends_it(
    script: None, server: Jupyter, provider: ThreadedProvider, called: Any
) -> None:
    view = BatchWidget(Announced(server, provider))
    assert {} not in (view.group, view.cost, view.usage)  # what is not known is null to the page
    called(view, lambda: view.done == 2)
    assert (view.status, view.total, view.title, view.error) == ("running", 3, "Rows", None)
    assert view.group["counts"] == view.counts == {"completed": 1, "failed": 1, "cancelled": 0, "interrupted": 0}
    replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
    view.send = replies.put
    view._receive(None, {"type": "cancel", "batch": view.id, "call": "7"}, None)
    called(view, lambda: view.done == 3)
    called(view, lambda: view.status in {"failed", "cancelled"})
    assert replies.get(timeout=PATIENCE) == {"type": "done", "call": "7"}
    view.close()


def test_many_widgets_of_one_batch_share_requests(
    script: None, server: Jupyter, provider: ThreadedProvider, called: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Announced(server, provider, "again")
    asked: queue.SimpleQueue[float] = queue.SimpleQueue()
    read = Api.batch_json

    async def noted(api: Api, *args: Any) -> Any:
        asked.put(time.monotonic())
        return await read(api, *args)

    views = [BatchWidget(batch) for _ in range(20)]
    for view in views:
        called(view, lambda view=view: view.done == 2)
    monkeypatch.setattr(Api, "batch_json", noted)
    times = [asked.get(timeout=PATIENCE) for _ in range(3)]
    assert times[-1] - times[0] > 1
    provider.release()
    for view in views:
        called(view, lambda view=view: view.done == 3)
        view.close()
