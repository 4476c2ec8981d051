"""Notebooks and terminals on a user's server, in both single-user modes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing

from browser.lab import saved_markdown, write_notebook
from client.conftest import Kernel
from harness.hub import UserServer

from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

KernelOf = Callable[[UserServer], Kernel]

COMMAND = """
import subprocess, sys
done = subprocess.run([sys.executable, "-m", "jupyter_bgstream.cli", *{arguments!r}], capture_output=True, text=True)
print(done.stdout + done.stderr)
"""


def test_cells_submit_cancel_and_retry(server: UserServer, kernel_of: KernelOf, provider: ThreadedProvider) -> None:
    kernel = kernel_of(server)
    job = kernel.run("%%bg demo/hello --name asked\nSay hello.").job["id"]
    assert kernel.ask("asked.wait(60).text") == repr("Hello, world")
    with server.client() as client:
        assert client.get(f"jobs/{job}").json()["source"]["kernel"] == kernel.id

    provider.scripts["held"] = answer("one two three", hold_after=1)
    held = kernel.run("%%bg demo/held --name held\nCount.").job["id"]
    assert kernel.ask("next(iter(held))") == repr("one ")
    assert kernel.run(f"%bg cancel {held}").reply["status"] == "ok"
    assert kernel.ask("held.wait(60).status") == repr("cancelled")

    provider.scripts["held"] = answer("all of it")
    assert kernel.run(f"%bg retry {held}").reply["status"] == "ok"
    assert kernel.ask("held.retry().result()") == repr("all of it")
    assert "Say hello." in json.dumps(kernel.run("%bg").outputs)


def test_table_is_answered_row_by_row(server: UserServer, kernel_of: KernelOf, provider: ThreadedProvider) -> None:
    provider.scripts["upper"] = lambda request: answer(request.prompt.upper())
    kernel = kernel_of(server)
    table = [{"text": f"row {number}"} for number in range(20)]
    ran = kernel.run(f"import jupyter_bgstream as bg\nrows = bg.map({table}, '{{text}}', model='demo/upper')")
    assert ran.reply["status"] == "ok", ran.error
    expected = [row["text"].upper() for row in table]
    assert kernel.ask("[row['answer'] for row in rows.wait(60).to_frame()]") == repr(expected)


def test_terminal_finds_the_server(server: UserServer, kernel_of: KernelOf) -> None:
    kernel = kernel_of(server)
    job = kernel.run("%%bg demo/hello --name asked\nSay hello.").job
    kernel.run("asked.wait(60)")

    doctor = kernel.run(COMMAND.format(arguments=["doctor", "--json"]))
    messages = [finding["message"] for finding in json.loads(doctor.printed)["findings"]]
    base = server.direct_api.removesuffix("api/bgstream/")
    assert any(f"The server at {base}" in message and "answers" in message for message in messages), messages

    notebook = write_notebook(server.root / "filled.ipynb", "x")
    content = json.loads(notebook.read_text())
    data = {BUNDLE_MIME: job, "text/markdown": "Queued…", "text/plain": "Queued…"}
    content["cells"][0]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    notebook.write_text(json.dumps(content))
    kernel.run(COMMAND.format(arguments=["fill", str(notebook)]))
    assert saved_markdown(notebook, 0) == "Hello, world"


def test_restarted_kernel_finds_its_jobs(server: UserServer, kernel_of: KernelOf) -> None:
    kernel = kernel_of(server)
    job = kernel.run("%%bg demo/hello\nSay hello.").job["id"]
    kernel.restart()
    kernel.run("%load_ext jupyter_bgstream\nimport jupyter_bgstream as bg")
    assert kernel.ask(f"bg.job({job!r}).wait(20).text") == repr("Hello, world")


def test_kernel_and_page_share_one_inbox(server: UserServer, kernel_of: KernelOf) -> None:
    kernel = kernel_of(server)
    job = kernel.run("%%bg demo/hello --name asked\nSay hello.").job["id"]
    assert kernel.ask("asked.result(60)") == repr("Hello, world")
    kernel.run("%bg mute thread loud")
    with closing(server.page()) as page:
        assert {"kind": "thread", "name": "loud"} in page.get("api/bgstream/mutes").json()["mutes"]
        deadline = time.monotonic() + 60  # a handle marks what was read a moment later
        while job in [each["job"] for each in page.get("api/bgstream/notices?unread=true").json()["notices"]]:
            assert time.monotonic() < deadline, "what the kernel has read is unread in the page"
            time.sleep(0.1)
