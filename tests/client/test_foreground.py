"""%%bg --wait: in a notebook, and in a terminal, with and without interrupts."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from client.conftest import PATIENCE, Kernel
from harness.jupyter import Jupyter

from jupyter_bgstream.client import job, jobs
from jupyter_bgstream.testing import ThreadedProvider, answer

pytestmark = pytest.mark.usefixtures("script")


def test_wait_shows_one_display_and_returns_at_end(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    waiting = kernel.send("%%bg test/held --wait --name waited\nx")
    provider.held()
    provider.release()
    ran = kernel.collect(waiting)
    assert [output["type"] for output in ran.outputs] == ["display_data"]
    assert kernel.ask("waited.status") == "'completed'"


def test_interrupt_detaches_and_second_one_cancels(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    waiting = kernel.send("%%bg test/held --wait\nx")
    provider.held()
    kernel.await_shown(waiting)
    kernel.interrupt()
    kernel.await_printed("Detaching. Job ")
    ran = kernel.collect(waiting)
    (going, *_) = jobs(limit=1)
    short = going.id[:8]
    assert ran.error == (
        f"Detached. Job {short} continues. %bg attach {short} shows the answer, %bg wait {short} waits, "
        f"%bg cancel {short} cancels."
    )
    assert ran.reply["status"] == "error"  # Run All stops here
    assert going.status == "running"

    waiting = kernel.send(f"%bg wait {short}")
    kernel.await_printed(f"Waiting for {short}. ")
    kernel.interrupt()
    kernel.await_printed("Detaching. ")
    kernel.interrupt()
    assert kernel.collect(waiting).error == f"Interrupted twice. Job {short}: Stopped."
    assert job(going.id).status == "cancelled"


class Terminal:
    """IPython in a terminal of its own."""

    def __init__(self, server: Jupyter) -> None:
        self._ours, theirs = pty.openpty()
        env = {
            name: value for name, value in os.environ.items() if name not in ("JPY_PARENT_PID", "PYTEST_CURRENT_TEST")
        }
        env |= {
            "HOME": str(server.home),
            "IPYTHONDIR": str(server.home / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(server.runtime),
            "JUPYTER_BGSTREAM_RUNTIME": str(server.runtime_file),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=nocolor", "--ext=jupyter_bgstream"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def expect(self, text: str) -> str:
        """Wait until the text is shown, and return what was shown up to it since the last call."""
        until = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert select.select([self._ours], [], [], max(0.0, until - time.monotonic()))[0], self.shown
            self.shown += os.read(self._ours, 65536).decode().replace("\r\n", "\n")
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@pytest.fixture(scope="module")
def terminal(server: Jupyter) -> Iterator[Terminal]:
    with closing(Terminal(server)) as terminal:
        terminal.expect("In [1]: ")
        yield terminal


def ask(terminal: Terminal, line: str) -> None:
    """Run a cell magic: the cell ends with two empty lines."""
    terminal.type(f"{line}\n")
    terminal.expect("...: ")
    terminal.type("x\n")
    terminal.expect("...: ")
    terminal.type("\n")
    terminal.expect("...: ")
    terminal.type("\n")


def test_terminal_prints_answer_as_it_streams(terminal: Terminal, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two three", hold_after=1)
    ask(terminal, "%%bg test/held --wait")
    terminal.expect("one ")
    provider.held()
    provider.release()
    assert re.match(r"two three\n\n+In \[", terminal.expect("In [") + "In [")
    ask(terminal, "%%bg test/hello test/hello --wait")
    assert "test/hello:\n\nHello, world\n\ntest/hello:\n\nHello, world\n" in terminal.expect("In [")


def test_terminal_names_how_to_show_answer_later(terminal: Terminal) -> None:
    ask(terminal, "%%bg test/hello --name said")
    terminal.expect("\nsaid shows the answer so far. Use --wait to print it live.\n")
    terminal.expect("In [")
    ask(terminal, "%%bg test/hello")
    terminal.expect("\n%bg show ")
    terminal.expect(" shows the answer so far. Use --wait to print it live.\n")
    terminal.expect("In [")


def test_second_interrupt_in_terminal_cancels(terminal: Terminal, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    ask(terminal, "%%bg test/held --wait")
    terminal.expect("one ")
    terminal.interrupt()
    terminal.expect("Interrupt again within 3 s to cancel.")
    terminal.interrupt()
    terminal.expect("Interrupted twice. Job ")
    terminal.expect(": Stopped.")
    terminal.expect("In [")
    (cancelled,) = jobs(limit=1)
    assert cancelled.status == "cancelled"
