"""Retries, automatic or by a click: in the cell, in the panel and in the file they are one answer."""

from __future__ import annotations

import re
from itertools import chain, repeat

import pytest
from browser.lab import Lab, Tab, saved_cells, saved_markdown, write_notebook
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.http_connection import Request
from jupyter_bgstream.testing.scripted_provider import Reply, ThreadedProvider
from jupyter_bgstream.testing.scripts import Script, answer, refusal

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOAD = "%load_ext jupyter_bgstream"
PANEL = ".jp-bgstream-panel"


def in_turn(*scripts: Script) -> Reply:
    """Answer with each in turn, and then with the last."""
    rest = chain(scripts, repeat(scripts[-1]))

    def reply(_: Request) -> Script:
        return next(rest)

    return reply


async def asked(lab: Lab, server: Jupyter, name: str) -> Tab:
    """Open a notebook of this name whose second cell has asked the model of the same name."""
    write_notebook(server.root / f"{name}.ipynb", LOAD, f"%%bg demo/{name}\nTell me about {name}")
    tab = await lab.tab(f"{name}.ipynb")
    await tab.run(0)
    await tab.run(1)
    return tab


async def open_panel(tab: Tab) -> None:
    await tab.page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await tab.page.wait_for_selector(f"{PANEL}:visible")


def saved_job(server: Jupyter, name: str) -> str:
    """Return the job that the cell in the file shows."""
    (output,) = saved_cells(server.root / f"{name}.ipynb")[1]["outputs"]
    return str(output["data"]["application/vnd.bgstream.job.v1+json"]["id"])


async def test_answer_interrupted_by_killed_server_is_retried_in_its_cell(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["again"] = in_turn(
        answer("The first *half* of it", hold_after=4), answer("All of **it**, from its beginning.", hold_after=3)
    )
    tab = await asked(lab, server, "again")
    await tab.shows(1, "The first half of")
    old = await tab.job(1)
    server.kill()
    server.start()
    await tab.state(1, "interrupted")
    retry = tab.view(1).locator("[data-action=retry]")
    # Lab says in dialogs, one after another, that the server was gone.
    dialog = tab.page.locator(".jp-Dialog")

    async def close() -> None:
        await dialog.locator("button").last.click()

    await tab.page.add_locator_handler(dialog, close, no_wait_after=True)
    await retry.click(trial=True)
    await retry.press("Enter")
    await tab.shows(1, "All of it,")
    new = await tab.job(1)
    assert new != old
    assert await tab.view(1).count() == 1  # in the same output
    # A user of the keyboard continues from there.
    assert await tab.view(1).evaluate("view => view.contains(document.activeElement)")
    # The earlier text is one click away, and drawn as Markdown.
    retried = tab.view(1).locator(".jp-bgstream-retried")
    assert await retried.locator("summary").text_content() == "Retry of an interrupted answer"
    await retried.locator("summary").click()
    await retried.locator("em >> text=half").wait_for()
    await retried.locator("summary").click()
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "from its beginning.")
    # The page that asked lets autosave store the answer, as if it had run the cell.
    await tab.page.wait_for_function("jupyterapp.shell.currentWidget.context.model.dirty")
    await tab.save()
    assert saved_markdown(server.root / "again.ipynb", 1) == "All of **it**, from its beginning."
    assert saved_job(server, "again") == new
    assert await tab.job(1) == new  # the save has not made another view
    with server.client() as client:
        notices = client.get("notices").json()["notices"]
        assert [notice["read_at"] is None for notice in notices if notice["job"] == old] == [False]
        client.delete(f"jobs/{new}")
    # Without its successor the old one is there again.
    await tab.state(1, "interrupted")
    assert not tab.errors


async def test_retry_from_elsewhere_is_followed_without_dirty_notebook(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["else"] = in_turn(
        answer("Half", finish_reason=None), answer("Half again", finish_reason=None), answer("Whole.", hold_after=0)
    )
    tab = await asked(lab, server, "else")
    await tab.state(1, "failed")
    await tab.save()
    watching = await lab.tab("else.ipynb")
    await watching.state(1, "failed")
    first = await watching.job(1)
    # Two at once make one job.
    for each in (tab, watching):
        await each.view(1).locator("[data-action=retry]").evaluate("button => button.click()")
    for each in (tab, watching):
        await each.page.wait_for_function(
            "job => !document.querySelector(`.jp-bgstream-view[data-job='${job}']`)", arg=first
        )
        await each.state(1, "failed")
    second = await tab.job(1)
    assert second == await watching.job(1)
    with server.client() as client:
        third = client.post(f"jobs/{second}/retry").json()["id"]
    for each in (tab, watching):
        await each.page.wait_for_selector(f".jp-bgstream-view[data-job='{third}']")
    await watching.close()
    await tab.save()
    provider.release()
    await tab.state(1, "completed")
    # A page that opens the file follows on, however old the job in it is; and it only looks.
    late = await lab.tab("else.ipynb")
    await late.state(1, "completed")
    await late.shows(1, "Whole.")
    assert await late.job(1) == third
    assert await late.view(1).locator(".jp-bgstream-retried").count() == 2
    assert not await late.dirty()


async def test_cell_counts_down_to_next_attempt_of_busy_provider(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    busy = refusal(429, {"error": {"message": "Slow down."}}, {"Retry-After": "4"})
    provider.scripts["busy"] = in_turn(busy, answer("Here it is."))
    tab = await asked(lab, server, "busy")
    await tab.state(1, "waiting")
    said: set[str] = set()
    look = """view => [view.dataset.state, ...['elapsed', 'problem'].map(
        name => view.querySelector(`.jp-bgstream-${name}`).textContent)]"""
    while (seen := await tab.view(1).evaluate(look))[0] == "waiting":
        _, elapsed, problem = seen
        said.add(elapsed)
        assert "rate_limited" in problem
    counted = [words for words in said if re.fullmatch(r"Next attempt in \d s", words)]
    assert len(counted) >= 3  # it counts down
    await tab.state(1, "completed")
    await tab.shows(1, "Here it is.")
    tried = await tab.view(1).locator(".jp-bgstream-try").text_content()
    assert tried == "Attempt 2 · after the provider was busy"


async def test_waiting_job_can_be_stopped(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["patient"] = refusal(503, "Overloaded", {"Retry-After": "600"})
    tab = await asked(lab, server, "patient")
    await tab.state(1, "waiting")
    await open_panel(tab)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-jobs [data-job='{await tab.job(1)}']")
    await row.locator("text=/Next attempt in 1\\d min/").wait_for()
    await tab.view(1).locator("[data-action=stop]").click()
    await tab.state(1, "cancelled")
    assert await tab.view(1).locator("[data-action=retry]").evaluate("each => each === document.activeElement")


async def test_cell_follows_retry_in_panel(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["panel"] = in_turn(answer("Half", finish_reason=None), answer("Whole now.", hold_after=1))
    tab = await asked(lab, server, "panel")
    await tab.state(1, "failed")
    old = await tab.job(1)
    await open_panel(tab)
    await tab.page.locator(f"{PANEL} .jp-bgstream-jobs > ul > [data-job='{old}'] [data-action=retry]").click()
    await tab.shows(1, "Whole")
    new = await tab.job(1)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-jobs > ul > [data-job='{new}']")
    await row.wait_for()
    # The row is the same as before, and the focus in it.
    assert await row.evaluate("row => row.contains(document.activeElement)")
    assert await tab.page.locator(f"{PANEL} .jp-bgstream-jobs > ul > [data-job='{old}']").count() == 0
    await row.locator("summary >> text=Retry of 1 earlier job").click()
    await row.locator(f"[data-job='{old}']").wait_for(state="visible")
    provider.release()
    await tab.state(1, "completed")
    await row.locator("[data-action=open]").first.click()
    await tab.page.wait_for_selector(f".jp-Cell.jp-mod-active .jp-bgstream-view[data-job='{new}']")


async def test_first_run_of_repeated_cell_stays_in_panel(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["twice"] = answer("First words of it and the rest.", hold_after=2)
    tab = await asked(lab, server, "twice")
    await tab.shows(1, "First words")
    old = await tab.job(1)
    # What is asked within two seconds is taken for one run.
    await tab.view(1).locator(".jp-bgstream-elapsed >> text=3 s").wait_for()
    await tab.run(1)
    await tab.page.wait_for_selector(f".jp-Notebook .jp-bgstream-view[data-job='{old}']", state="detached")
    await tab.shows(1, "First words")
    await open_panel(tab)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-jobs > ul > [data-job='{old}']")
    await row.locator("text=earlier run of its cell").wait_for()
    await row.locator("[data-action=stop]").click()
    await tab.page.wait_for_selector(f"{PANEL} [data-job='{old}'][data-state=cancelled]")
    provider.release()
    await tab.state(1, "completed")
