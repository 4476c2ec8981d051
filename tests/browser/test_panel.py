"""The panel, the inbox and the toast: ends that the user missed, and ends that the user saw."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from browser.lab import Lab, Tab, write_notebook
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LOAD = "%load_ext jupyter_bgstream"
PANEL = ".jp-bgstream-panel"


@pytest.fixture(autouse=True)
def clean(server: Jupyter) -> Iterator[None]:
    """Delete the jobs of the tests before."""
    with server.client() as client:
        for job in client.get("jobs?limit=500").json()["jobs"]:
            client.delete(f"jobs/{job['id']}")
        yield


async def running(lab: Lab, server: Jupyter, provider: ThreadedProvider, name: str, *, app: str = "lab") -> Tab:
    """Open a notebook whose second cell runs a job that holds in mid-answer."""
    provider.scripts[name] = answer(f"First words of {name} and the last.", hold_after=4)
    write_notebook(server.root / f"{name}.ipynb", LOAD, f"%%bg demo/{name}\nTell me about {name}")
    tab = await lab.tab(f"{name}.ipynb", app=app)
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, f"First words of {name}")
    return tab


async def open_panel(tab: Tab) -> None:
    # Not before the layout is restored, which would close it again.
    await tab.page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await tab.page.wait_for_selector(f"{PANEL}:visible")


async def unread(tab: Tab, count: int) -> None:
    """Wait until the badge shows this count; it waits two seconds itself for a view that has seen the end."""
    wanted = str(count) if count else ""
    await tab.page.wait_for_function(
        """wanted => [...document.querySelectorAll('.jp-bgstream-tab')].some(
            tab => (tab.dataset.unread ?? '') === wanted)""",
        arg=wanted,
    )


async def finish(server: Jupyter, provider: ThreadedProvider, job: str) -> None:
    """Let the answer end without an open page."""
    provider.release()
    with server.client() as client:
        while "Stream-Closed" not in client.get(f"jobs/{job}/events?offset=now&live=long-poll").headers:
            pass


async def test_answer_ended_while_tab_was_closed_is_unread_until_opened(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    tab = await running(lab, server, provider, "away")
    job = await tab.job(1)
    await tab.save()
    await tab.close()
    await finish(server, provider, job)
    write_notebook(server.root / "elsewhere.ipynb", "1")
    tab = await lab.tab("elsewhere.ipynb")
    await unread(tab, 1)
    await tab.page.reload()
    await tab.ready()  # JupyterLab opens the notebook of the address late, and would hide the one that is opened below
    await unread(tab, 1)
    await open_panel(tab)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-inbox [data-job='{job}']")
    assert "Tell me about away" in (await row.text_content() or "")
    await row.locator("[data-action=open]").click()
    await unread(tab, 0)
    # Opening it goes to the cell, whose whole answer is there.
    await tab.page.wait_for_selector(f".jp-bgstream-view[data-job='{job}'][data-state=completed]")
    with server.client() as client:
        assert client.get("notices").json()["unread"] == 0


async def test_answer_watched_to_its_end_is_read(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await running(lab, server, provider, "watched")
    seen: list[str] = []
    tab.sockets[0].on("framesent", lambda frame: seen.append(str(frame)))
    provider.release()
    await tab.state(1, "completed")
    await tab.until(lambda: any('"seen"' in frame for frame in seen))
    with server.client() as client:
        # The frame is sent, and the server will have read it in a moment.
        await tab.until(lambda: client.get("notices").json()["unread"] == 0)
    await unread(tab, 0)


async def test_end_in_hidden_tab_stays_unread_and_visible_tab_shows_toast(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    hidden = await running(lab, server, provider, "hidden")
    job = await hidden.job(1)
    await hidden.save()
    write_notebook(server.root / "visible.ipynb", "1")
    visible = await lab.tab("visible.ipynb")
    # A headless browser calls every tab visible.
    await hidden.page.evaluate("""() => {
        Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
        Object.defineProperty(document, 'hidden', {get: () => true});
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    provider.release()
    await hidden.state(1, "completed")
    await visible.page.wait_for_selector(".Toastify__toast >> text=Tell me about hidden")
    assert await hidden.page.locator(".Toastify__toast >> text=Tell me about hidden").count() == 0
    await unread(visible, 1)
    await visible.page.locator(".Toastify__toast button >> text=Show").click()
    await visible.page.wait_for_selector(f".jp-bgstream-view[data-job='{job}']")
    await unread(visible, 0)


async def test_panel_lists_stops_and_deletes_jobs_and_opens_their_cell(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    tab = await running(lab, server, provider, "listed")
    job = await tab.job(1)
    await open_panel(tab)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-jobs [data-job='{job}']")
    said = await row.text_content() or ""
    assert "Tell me about listed" in said
    assert "demo/listed" in said
    await row.locator("[data-action=open]").click()
    await tab.page.wait_for_selector(".jp-Cell.jp-mod-active .jp-bgstream-view")
    await row.locator("[data-action=stop]").click()
    await tab.state(1, "cancelled")
    await tab.page.wait_for_selector(f"{PANEL} .jp-bgstream-jobs [data-job='{job}'][data-state=cancelled]")
    with server.client() as client:
        assert client.get("notices").json()["notices"] == []  # the user who stopped it knows
    await row.locator("[data-action=delete]").click()
    await tab.page.locator(".jp-Dialog button >> text=Delete").click()
    await tab.page.wait_for_selector(f"{PANEL} .jp-bgstream-jobs [data-job='{job}']", state="detached")


async def test_job_without_notebook_opens_in_own_tab(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["rest"] = answer("First words of rest and the last.", hold_after=4)
    write_notebook(server.root / "rest.ipynb", "1")
    tab = await lab.tab("rest.ipynb")
    with server.client() as client:
        job = client.post("jobs", json={"model": "demo/rest", "prompt": "Hello"}).json()["id"]
    await open_panel(tab)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-jobs [data-job='{job}'] [data-action=open]")
    view = tab.page.locator(f".jp-bgstream-main .jp-bgstream-view[data-job='{job}']")
    await row.click()
    await view.locator("text=First words of rest").wait_for()
    await row.click()
    provider.release()
    await view.locator("text=and the last.").wait_for()
    assert await view.count() == 1  # the same tab again
    await tab.page.locator(".lm-DockPanel-tabBar .lm-mod-current .lm-TabBar-tabCloseIcon").click()
    await view.wait_for(state="detached")


async def test_read_and_dismissed_notices_are_shared_by_all_tabs(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    for name in ("one", "other"):
        tab = await running(lab, server, provider, f"shared-{name}")
        job = await tab.job(1)
        await tab.save()
        await tab.close()
        await finish(server, provider, job)
    write_notebook(server.root / "plain.ipynb", "1")
    first, second = await lab.tab("plain.ipynb"), await lab.tab("plain.ipynb")
    for tab in (first, second):
        await unread(tab, 2)
        await open_panel(tab)
    rows = f"{PANEL} .jp-bgstream-inbox [data-notice]"
    await first.page.locator(rows).first.locator("[data-action=mark-read]").click()
    for tab in (first, second):
        await unread(tab, 1)
    await first.page.locator(rows).last.locator("[data-action=dismiss]").click()
    for tab in (first, second):
        await unread(tab, 0)
        assert await tab.page.locator(rows).count() == 1


async def test_notebook_7_has_panel_and_badge(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    tab = await running(lab, server, provider, "seven", app="notebook")
    job = await tab.job(1)
    await tab.save()
    await tab.close()
    await finish(server, provider, job)
    write_notebook(server.root / "seven-b.ipynb", "1")
    tab = await lab.tab("seven-b.ipynb", app="notebook")
    await tab.page.wait_for_selector("#jp-bgstream-badge[data-unread='1']")
    await tab.page.locator("#jp-bgstream-badge [data-action=show-panel]").click()
    await tab.page.wait_for_selector(f"{PANEL}:visible .jp-bgstream-inbox [data-job='{job}']")


async def test_notebook_muted_in_one_tab_shows_toast_in_none(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    tab = await running(lab, server, provider, "muted")
    job = await tab.job(1)
    write_notebook(server.root / "mute-b.ipynb", "1")
    other = await lab.tab("mute-b.ipynb")
    for each in (tab, other):
        await open_panel(each)
    bell = f"{PANEL} .jp-bgstream-jobs [data-job='{job}'] [data-action=mute-notebook]"
    assert await other.page.locator(bell).get_attribute("aria-label") == "Mute the notebook muted.ipynb"
    await tab.page.locator(bell).click()
    await other.page.wait_for_selector(f"{bell}[aria-pressed=true]", state="attached")
    await tab.save()
    await tab.close()
    await finish(server, provider, job)
    notice = f"{PANEL} .jp-bgstream-inbox [data-job='{job}']"
    await other.page.wait_for_selector(f"{notice}[data-muted=true][data-unread=true]")
    # Another answer, of a notebook that is not muted, calls; had the first called, it would have done so before.
    loud = await running(lab, server, provider, "loud")
    job = await loud.job(1)
    await loud.save()
    await loud.close()
    await finish(server, provider, job)
    await other.page.wait_for_selector(".Toastify__toast >> text=Tell me about loud")
    assert await other.page.locator(".Toastify__toast >> text=Tell me about muted").count() == 0
    await unread(other, 1)
    await other.page.locator(f"{PANEL} .jp-bgstream-muted summary").click()
    await other.page.locator(f"{PANEL} [data-action=unmute]").click()
    await unread(other, 2)
    with server.client() as client:
        assert client.get("mutes").json() == {"mutes": []}


async def test_batch_is_one_notice_and_one_toast_in_two_windows(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["good"] = answer("Well.")
    write_notebook(server.root / "batch.ipynb", "1")
    tabs = [await lab.tab("batch.ipynb"), await lab.tab("batch.ipynb")]
    for tab in tabs:  # every toast that was ever shown
        await tab.page.evaluate("""() => {
            window.toasts = new Set();
            new MutationObserver(() => document.querySelectorAll('.Toastify__toast').forEach(toast => {
                const words = toast.textContent.replace(/[\\u2066-\\u2069]/g, '');  // what isolates the title
                if (words.includes('Four questions: 3 answered, 1 failed')) toasts.add(toast);
            })).observe(document.body, {subtree: true, childList: true, characterData: true});
        }""")
    jobs = [
        {"id": f"of-the-batch-{n}", "model": f"demo/{'good' if n < 3 else 'no-such'}", "prompt": f"Number {n}"}
        for n in range(4)
    ]
    with server.client() as client:
        batch = {"id": "the-batch", "total": 4, "title": "Four questions", "jobs": jobs}
        assert client.post("batches", json=batch).status_code == 200
    for tab in tabs:
        await unread(tab, 1)
        await open_panel(tab)
        row = tab.page.locator(f"{PANEL} .jp-bgstream-inbox [data-batch=the-batch]")
        assert "3 answered, 1 failed" in (await row.text_content() or "")
    async with asyncio.timeout(90):
        while not sum([await tab.page.evaluate("toasts.size") for tab in tabs]):
            pass
    tab = tabs[0]
    await tab.page.locator(f"{PANEL} .jp-bgstream-inbox [data-batch=the-batch] [data-action=open]").click()
    await tab.page.wait_for_selector(f"{PANEL} .jp-bgstream-jobs header >> text=of Four questions")
    assert await tab.page.locator(f"{PANEL} .jp-bgstream-jobs > ul > li").count() == 4
    for each in tabs:
        await unread(each, 0)
    await tab.page.locator(f"{PANEL} [data-action=show-all]").click()
    await tab.page.wait_for_selector(f"{PANEL} .jp-bgstream-jobs header >> text=of Four questions", state="detached")
    # Both were in sight, and one of them showed the toast.
    assert sum([await each.page.evaluate("toasts.size") for each in tabs]) == 1
