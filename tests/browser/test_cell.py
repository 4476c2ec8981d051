"""An answer in a cell of a real JupyterLab: it streams, is saved, and survives closed tabs, kernels and servers."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser.lab import Lab, Tab, saved_cells, saved_markdown, write_notebook
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import Script, answer, event, refusal, replay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOAD = "%load_ext jupyter_bgstream"
TEXT = "# A title\n\nSome *emphasis*, a list:\n\n- one\n- two 👩‍🚀\n\n```python\nprint('x')\n```\n\nAnd the last words."
WORDS = len(re.findall(r"\S+\s*|\s+", TEXT))


def bg(model: str, prompt: str = "Hello") -> str:
    return f"%%bg demo/{model}\n{prompt}"


async def streaming(lab: Lab, provider: ThreadedProvider, name: str, *, app: str = "lab") -> Tab:
    """Open a notebook of this name whose second cell shows the first half of TEXT and holds there."""
    provider.scripts[name] = answer(TEXT, hold_after=8)
    write_notebook(lab.server.root / f"{name}.ipynb", LOAD, bg(name))
    tab = await lab.tab(f"{name}.ipynb", app=app)
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "Some emphasis")
    return tab


async def test_answer_streams_as_markdown_while_kernel_is_free(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["stream"] = answer(TEXT, hold_after=8, reasoning="Hm.")
    write_notebook(server.root / "stream.ipynb", LOAD, bg("stream"), "6 * 7")
    tab = await lab.tab("stream.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "Some emphasis")
    await tab.state(1, "streaming")
    assert await tab.view(1).locator("h1").text_content() == "A title"
    await tab.run(2)  # the kernel is free in mid-answer
    await tab.page.wait_for_selector(".jp-OutputArea-executeResult >> text=42")
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "And the last words.")
    assert await tab.view(1).locator("li").count() == 2
    assert await tab.view(1).locator("em").text_content() == "emphasis"
    assert not tab.errors


async def test_answer_continues_after_tab_is_closed(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "closed")
    await tab.save()
    await tab.close()
    tab = await lab.tab("closed.ipynb")
    await tab.shows(1, "Some emphasis")  # the text so far is there
    await tab.state(1, "streaming")
    provider.release()  # and it continues live
    await tab.shows(1, "And the last words.")
    await tab.state(1, "completed")
    assert not await tab.dirty()
    await tab.save()  # what was saved half-way is whole from the next save on
    assert saved_markdown(server.root / "closed.ipynb", 1) == TEXT


async def test_tab_closed_without_saving_loses_nothing(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "unsaved")
    path = server.root / "unsaved.ipynb"
    await tab.until(lambda: bool(saved_cells(path)[1]["outputs"]))  # it has saved itself
    await tab.close()
    tab = await lab.tab("unsaved.ipynb")
    await tab.shows(1, "Some emphasis")
    await tab.state(1, "streaming")
    provider.release()
    await tab.shows(1, "And the last words.")
    await tab.state(1, "completed")
    assert not await tab.dirty()


async def test_job_deleted_in_mid_answer_leaves_its_text(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "vanished")
    path = server.root / "vanished.ipynb"
    with server.client() as client:
        assert client.delete(f"jobs/{await tab.job(1)}").status_code == 204
    await tab.page.wait_for_selector(".jp-bgstream-view >> text=This job was deleted.")
    await tab.shows(1, "Some emphasis")
    await tab.save()
    saved = saved_markdown(path, 1)
    assert saved.startswith("# A title\n\nSome *emphasis*")
    assert saved.endswith("\n\n*Cancelled*")


async def test_answer_continues_after_kernel_restart(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "restarted")
    await tab.restart_kernel()
    provider.release()
    await tab.shows(1, "And the last words.")
    await tab.state(1, "completed")


async def test_killed_server_keeps_shown_text(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "killed")
    shown = await tab.text(1)
    server.kill()
    server.start()
    await tab.state(1, "interrupted")  # the page has found the server again by itself
    assert (await tab.text(1)).startswith(shown.rstrip())
    await tab.close()


async def test_two_tabs_show_same_answer_and_neither_is_dirty(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    first = await streaming(lab, provider, "two")
    await first.save()
    await first.close()
    tabs = [await lab.tab("two.ipynb"), await lab.tab("two.ipynb")]
    for tab in tabs:
        await tab.shows(1, "Some emphasis")
    provider.release()
    for tab in tabs:
        await tab.state(1, "completed")
        await tab.shows(1, "And the last words.")
    assert await tabs[0].text(1) == await tabs[1].text(1)
    assert [await tab.dirty() for tab in tabs] == [False, False]


async def test_page_and_fill_save_the_shown_answer(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "saved")
    path = server.root / "saved.ipynb"
    await tab.save()
    half = saved_markdown(path, 1)
    assert half.startswith("# A title\n\nSome *emphasis*")
    assert TEXT.startswith(half.removesuffix("\n\n*Running…*"))  # a reader of the file knows that there is more
    assert not await tab.dirty()
    copy = path.with_name("copy.ipynb")
    copy.write_bytes(path.read_bytes())
    provider.release()
    await tab.state(1, "completed")
    await tab.save()
    assert saved_markdown(path, 1) == TEXT
    assert not await tab.dirty()
    await asyncio.to_thread(fill, copy, server)
    assert copy.read_bytes() == path.read_bytes()  # without a browser it is the same to the byte
    again = await lab.tab("saved.ipynb")
    await again.state(1, "completed")
    assert not await again.dirty()
    await again.save()
    assert saved_markdown(path, 1) == TEXT


def fill(path: Path, server: Jupyter) -> None:
    env = os.environ | {"HOME": str(server.home), "JUPYTER_RUNTIME_DIR": str(server.runtime)}
    subprocess.run([sys.executable, "-m", "jupyter_bgstream.cli", "fill", path], env=env, check=True)


HOSTILE = """Hello <script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">

![remote](https://tracker.example/pixel.png) <img src="https://tracker.example/raw.png">
<iframe src="https://tracker.example/frame"></iframe> [link](javascript:window.hacked=3)
<style>@import url(https://tracker.example/style.css);</style>
<div style="background: url(https://tracker.example/background.png)">styled</div>
<svg onload="window.hacked = 4"></svg> <video poster="https://tracker.example/poster.png"></video>

The end.
"""


async def test_hostile_answer_runs_and_fetches_nothing(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["hostile"] = answer(HOSTILE, hold_after=12)
    path = write_notebook(server.root / "hostile.ipynb", LOAD, bg("hostile"))
    tab = await lab.tab("hostile.ipynb")
    await tab.run(0)
    await tab.run(1)
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "The end.")
    await tab.save()
    again = await lab.tab("hostile.ipynb")
    await again.state(1, "completed")
    await again.shows(1, "The end.")
    for page in (tab, again):
        assert await page.page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).trusted")
        assert await page.page.evaluate("window.hacked") is None
        assert not [url for url in page.requests if "tracker.example" in url]
        assert not await page.view(1).locator("script, iframe, [onerror], [onload], a[href^=javascript]").count()
    assert "<script" not in saved_markdown(path, 1)


async def test_stop_keeps_text_and_closes_provider_connection(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    tab = await streaming(lab, provider, "stopped")
    request = provider.requests[-1]
    await tab.view(1).locator("[data-action=stop]").click()
    await asyncio.to_thread(provider.quiet)
    assert request.closed_by_client
    await tab.state(1, "cancelled")
    await tab.shows(1, "Some emphasis")
    assert await tab.view(1).locator("[data-action=stop]:visible").count() == 0


async def test_ten_live_cells_share_one_socket(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    for n in range(10):
        provider.scripts[f"ten-{n}"] = answer(f"Cell {n}: {TEXT}", hold_after=9)
    write_notebook(server.root / "ten.ipynb", LOAD, *(bg(f"ten-{n}") for n in range(10)))
    tab = await lab.tab("ten.ipynb")
    for n in range(11):
        await tab.run(n)
    for n in range(10):
        await tab.shows(n + 1, f"Cell {n}:")
    provider.release(10)
    for n in range(10):
        await tab.state(n + 1, "completed")
        await tab.shows(n + 1, "And the last words.")
    assert len(tab.sockets) == 1


FAILURES: dict[str, tuple[str, Script | None]] = {
    "no-such-model": ("model_not_found", None),
    "wrong-key": ("unauthorized", refusal(401, {"error": {"message": "Incorrect API key provided."}})),
    "too-many": ("rate_limited", refusal(429, {"error": {"message": "Slow down."}})),
    "broken": ("provider_error", refusal(500, "Internal server error")),
    "garbage": ("malformed_stream", replay([event("{not json")])),
    "no-end": ("truncated", answer("Half an answer", finish_reason=None)),
    "openai/gpt-4o-mini": ("missing_key", None),
    "nobody/x": ("unknown_provider", None),
    "nowhere/x": ("unreachable", None),
}


async def test_cell_shows_code_and_message_of_every_failure(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    for model, (_, script) in FAILURES.items():
        if script is not None:
            provider.scripts[model] = script
    names = [model if "/" in model else f"demo/{model}" for model in FAILURES]
    cells = [f"%%bg {name} --retry-policy never\nHello" for name in names]  # otherwise half a minute of attempts
    write_notebook(server.root / "failures.ipynb", LOAD, *cells)
    tab = await lab.tab("failures.ipynb")
    for n in range(len(cells) + 1):
        await tab.run(n)
    with server.client() as client:
        for n, (code, _) in enumerate(FAILURES.values(), 1):
            await tab.state(n, "failed")
            job = client.get(f"jobs/{await tab.job(n)}").json()
            said = await tab.view(n).text_content() or ""
            assert job["error"]["code"] == code
            assert code in said
            assert job["error"]["message"] in said
    await tab.shows(6, "Half an answer")


async def test_unknown_job_keeps_saved_text_and_is_reported(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["deleted"] = answer("These words were saved.")
    path = write_notebook(server.root / "deleted.ipynb", LOAD, bg("deleted"))
    tab = await lab.tab("deleted.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    await tab.save()
    with server.client() as client:
        assert client.delete(f"jobs/{await tab.job(1)}").status_code == 204
    await tab.close()
    tab = await lab.tab("deleted.ipynb")
    await tab.shows(1, "These words were saved.")
    await tab.page.wait_for_selector(".jp-bgstream-view >> text=not on this server")
    assert not await tab.dirty()
    await tab.save()
    assert saved_markdown(path, 1) == "These words were saved."


async def test_answer_streams_in_notebook_7(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await streaming(lab, provider, "nb7", app="notebook")
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "And the last words.")
    assert len(tab.sockets) == 1
