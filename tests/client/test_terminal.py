"""Untrusted text has no effect on the terminal that shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from client.test_foreground import Terminal, ask
from harness.jupyter import Jupyter

from jupyter_bgstream.client import jobs, submit
from jupyter_bgstream.testing import ThreadedProvider, answer
from jupyter_bgstream.testing.scripts import refusal

pytestmark = pytest.mark.usefixtures("script")

# It sets the clipboard, then the title, moves up a line, and turns the direction of what follows.
SPITE = "\x1b]52;c;cm0gLXJm\x07 \x9d0;title\x9c \x9b1A \u202egnp.exe\rover"
SHOWN = r"\x1b]52;c;cm0gLXJm\x07 \x9d0;title\x9c \x9b1A \u202egnp.exe\x0dover"
OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")


@pytest.fixture(scope="module")
def terminal(server: Jupyter, provider: ThreadedProvider) -> Iterator[Terminal]:
    provider.scripts["spite"] = answer(f"So {SPITE} it is.", usage=(3, 2))
    provider.scripts["refused"] = refusal(400, {"error": {"message": f"No {SPITE}."}})
    with closing(Terminal(server)) as terminal:
        terminal.expect("In [1]: ")
        terminal.type("import jupyter_bgstream.client as bg; (job,) = bg.jobs(tag='spiteful')\n")
        terminal.expect("In [")
        yield terminal


@pytest.fixture(scope="module", autouse=True)
def spiteful(server: Jupyter, provider: ThreadedProvider) -> None:
    """Submit a job whose title, thread and tags are spiteful too, from outside the terminal."""
    provider.scripts["spite"] = answer(f"So {SPITE} it is.", usage=(3, 2))
    with server.client() as client:
        fields = {"title": f"T {SPITE}\nline", "thread": f"t {SPITE}", "tags": ["spiteful", SPITE], "prompt": SPITE}
        made = client.post("jobs", json={"model": "test/spite", **fields})
        assert made.status_code == 201, made.text
        client.post("jobs", json={"model": "test/spite", "prompt": SPITE, "thread": "plain"})


def shown(terminal: Terminal) -> str:
    """Return the output of the terminal up to the next prompt."""
    text = terminal.expect("\nIn [")
    assert not OBEYED.search(text), ascii(text)
    return text


@pytest.mark.parametrize(
    "line",
    [
        "job.wait()",
        "bg.jobs()",
        "%bg",
        "%bg show job",
        "bg.threads()",
        "bg.threads()[1]",
        "%bg threads",
        "%bg threads show plain",
        "%bg mute off thread '{job.thread}'",
        "%bg costs thread",
        "bg.models()",
        "bg.submit('x', model='test/refused').result()",
        "bg.submit('x', model='test/refused').wait().error.message.encode('later')",
        "bg.thread(job.thread + '?').fork('x')",
    ],
)
def test_output_of_python_and_line_magics_is_escaped(terminal: Terminal, line: str) -> None:
    terminal.type(f"{line}\n")
    text = shown(terminal)
    if line not in ("bg.models()", "job.wait()") and "encode" not in line:
        assert "\\x1b]52;c;" in text, text


def test_streamed_answer_and_error_are_escaped(terminal: Terminal) -> None:
    ask(terminal, "%%bg test/spite --wait")
    assert f"So {SHOWN} it is." in shown(terminal).replace("\n", "")
    ask(terminal, "%%bg test/refused --wait")
    assert f"No {SHOWN}".partition("\\x0d")[0] in shown(terminal)


def test_text_of_handle_is_not_escaped() -> None:
    assert submit("x", model="test/spite").result() == f"So {SPITE} it is."
    assert SPITE in jobs(limit=1)[0].text


def test_server_log_has_no_control_characters(server: Jupyter) -> None:
    with server.client() as client:
        source = {"kernel": SPITE, "cell": SPITE}
        client.post("jobs", json={"model": "test/spite", "prompt": "x", "source": source})
        client.post("jobs", json={"model": f"test/{SPITE}", "prompt": "x"})
    assert not [line for line in server.log if OBEYED.search(line.replace("\x1b[", "").replace("\r\n", "\n"))]
