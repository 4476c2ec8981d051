"""%bg threads in a real kernel."""

from __future__ import annotations

import pytest
from client.conftest import Kernel

from jupyter_bgstream.testing import ThreadedProvider

pytestmark = pytest.mark.usefixtures("script")


def test_threads_magic_lists_shows_forks_renames_and_deletes(kernel: Kernel, provider: ThreadedProvider) -> None:
    for number, prompt in enumerate(("My name is Ada.", "Who am I?")):
        kernel.run(f"%%bg --thread names --name said{number}\n{prompt}")
        kernel.run(f"said{number}.wait()")
    (shown,) = kernel.run("%bg threads").bundles
    assert any(row.startswith("names ") for row in shown["text/plain"].splitlines())
    assert set(shown) == {"text/plain", "text/html"}

    turns = kernel.run("%bg threads show names").printed
    assert turns == (
        "user:\nMy name is Ada.\n\nassistant:\nHello, world\n\nuser:\nWho am I?\n\nassistant:\nHello, world\n\n"
    )
    ran = kernel.run("%bg threads fork names 'other names' said0")
    assert ran.printed == "Thread other names begins with names up to 'My name is Ada.'.\n"
    kernel.run("%%bg --thread 'other names' --name elsewhere\nGo on.")
    kernel.run("elsewhere.wait()")
    sent = [message["content"] for message in provider.requests[-1].json["messages"]]
    assert sent == ["My name is Ada.", "Hello, world", "Go on."]

    assert kernel.run("%bg threads fork names copy").printed == "Thread copy begins with all of names.\n"
    assert kernel.run("%bg threads rename copy kept").printed == "Thread copy was renamed to kept.\n"
    assert "names" in kernel.run("%bg threads rename kept names").error
    assert kernel.run("%bg threads delete kept").printed == "Thread kept was deleted with all of its jobs.\n"
    assert "kept" not in kernel.run("%bg threads").bundles[0]["text/plain"]
    assert "kept" in kernel.run("%bg threads show kept").error
