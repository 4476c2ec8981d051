"""A thread in the panel: begun by a kernel, continued in the panel, and shown while another notebook continues it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser.lab import Lab, Tab, write_notebook
from harness.jupyter import Jupyter
from playwright.async_api import Locator

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOAD = "%load_ext jupyter_bgstream"
PANEL = ".jp-bgstream-panel"
HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


@pytest.fixture(autouse=True)
def clean(server: Jupyter) -> Iterator[None]:
    """Delete the jobs of the tests before."""
    with server.client() as client:
        for job in client.get("jobs?limit=500").json()["jobs"]:
            client.delete(f"jobs/{job['id']}")
        yield


async def open_panel(tab: Tab) -> None:
    # Not before the layout is restored, which would close it again.
    await tab.page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await tab.page.wait_for_selector(f"{PANEL}:visible")


async def open_thread(tab: Tab, name: str) -> Locator:
    """Open a thread from the panel."""
    await open_panel(tab)
    await tab.page.locator(f"{PANEL} [data-thread={name}] [data-action=open]").click()
    thread = tab.page.get_by_role("region", name=f"Thread {name}")
    await thread.wait_for()
    return thread


async def says(thread: Locator, turn: int, text: str, state: str) -> None:
    """Wait until a turn has an answer with this text in this state. Not by what is seen: below the fold is nothing."""
    view = thread.locator(".jp-bgstream-turn").nth(turn).locator(f".jp-bgstream-view[data-state={state}]")
    await view.locator(f".jp-bgstream-text:has-text('{text}')").wait_for(state="attached")


async def test_thread_continues_in_tab_and_in_any_notebook(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["bern"] = answer("See the bears.")
    provider.scripts["rain"] = answer("Then the museums, and the rest.", hold_after=3)
    write_notebook(server.root / "trip.ipynb", LOAD, "%%bg demo/bern --thread trip\nWhat should I see?")
    write_notebook(server.root / "other.ipynb", LOAD, "%%bg demo/bern --thread trip\nAnd by night?")
    tab = await lab.tab("trip.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    thread = await open_thread(tab, "trip")
    await says(thread, 0, "See the bears.", "completed")
    assert await thread.locator(".jp-bgstream-words").text_content() == "What should I see?"
    assert not await thread.locator("[data-action=show-earlier]").is_visible()

    # It is gone on with there, and the answer streams there.
    model, prompt = thread.get_by_label("Model"), thread.get_by_label("Continue the thread trip")
    assert await model.input_value() == "demo/bern"
    await model.fill("demo/rain")
    await prompt.click()
    await tab.page.keyboard.type("And if it rains,\nthen?")  # Enter is a new line
    await tab.page.keyboard.press("Control+b")  # Lab's, were it not for the field: it hides the panel
    assert await tab.page.locator(PANEL).is_visible()
    await tab.page.keyboard.press("Control+Enter")
    await says(thread, 1, "Then the museums", "streaming")
    assert await prompt.input_value() == ""
    assert await thread.locator(".jp-bgstream-words").last.text_content() == "And if it rains,\nthen?"
    provider.release()
    await says(thread, 1, "and the rest.", "completed")

    # Another notebook continues, and the open tab shows it.
    other = await lab.tab("other.ipynb")
    await other.run(0)
    await other.run(1)
    await says(thread, 2, "See the bears.", "completed")
    roles = [message["role"] for message in provider.requests[-1].json["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]

    # It is forked, under a name that is free, and deleted.
    with server.client() as client:
        client.post("jobs", json={"model": "demo/bern", "prompt": "Hi", "thread": "taken"})
    await thread.locator(".jp-bgstream-turn").first.get_by_role("button", name="Fork from here").click()
    dialog = tab.page.locator(".jp-Dialog")
    await dialog.locator("input").fill("taken")
    await tab.page.keyboard.press("Enter")
    await dialog.locator("text=taken").wait_for()
    await dialog.locator("input").fill("dry")
    await tab.page.keyboard.press("Enter")
    fork = tab.page.get_by_role("region", name="Thread dry")
    await says(fork, 0, "See the bears.", "completed")
    assert await fork.locator(".jp-bgstream-turn").count() == 1
    await fork.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete").click()
    await fork.locator("text=This thread was deleted.").wait_for()
    assert tab.errors == []


async def test_notebook_7_shows_thread_in_panel(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["hostile"] = answer(f"Fine. {HOSTILE}")
    write_notebook(server.root / "seven-t.ipynb", "1")
    tab = await lab.tab("seven-t.ipynb", app="notebook")
    await open_panel(tab)
    await tab.page.locator(f"{PANEL} [data-action=new-thread]").click()
    await tab.page.locator(".jp-Dialog input").fill("seven")
    await tab.page.keyboard.press("Enter")
    thread = tab.page.locator(PANEL).get_by_role("region", name="Thread seven")
    await thread.locator("text=This thread is empty.").wait_for()
    await thread.get_by_label("Model").fill("demo/hostile")
    await thread.get_by_label("Continue the thread seven").fill(HOSTILE)
    await thread.get_by_role("button", name="Send").click()
    await says(thread, 0, "Fine.", "completed")
    assert await thread.locator("script").count() == 0
    assert await tab.page.title() != "hacked"
    await thread.get_by_label("Continue the thread seven").fill("half a sen")
    await thread.get_by_role("button", name="All").click()
    again = await open_thread(tab, "seven")
    assert await again.get_by_label("Continue the thread seven").input_value() == "half a sen"
    await says(again, 0, "Fine.", "completed")  # before that it would be a thread that was never there
    with server.client() as client:
        job = client.get("threads/messages?thread=seven").json()["messages"][0]["job"]
        client.delete(f"jobs/{job}")
    await again.locator("text=This thread was deleted.").wait_for()
