"""Several answers side by side, and a batch, in a real JupyterLab."""

from __future__ import annotations

import httpx
import pytest
from browser.lab import Lab, Tab, saved_markdown, write_notebook
from browser.test_storm import BATCH, BEGIN
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

GONE = "not on this server"


async def each(tab: Tab, part: str) -> list[str]:
    """Return the text of a part of each column, in order."""
    return [
        " ".join(words.split())
        for words in await tab.page.locator(f".jp-Notebook .jp-bgstream-{part}").all_text_contents()
    ]


async def until_each(tab: Tab, part: str, *words: str) -> None:
    await tab.page.wait_for_function(
        """([part, words]) => JSON.stringify([...document.querySelectorAll(`.jp-Notebook .jp-bgstream-${part}`)]
            .map(({textContent}) => textContent.trim())) === JSON.stringify(words)""",
        arg=[part, words],
    )


async def test_models_answer_side_by_side(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["side-a"] = answer("one two three", hold_after=2)
    provider.scripts["side-b"] = answer("It breaks off").first(2)
    provider.scripts["side-c"] = answer("`quick`")
    models = [f"demo/side-{name}" for name in "abc"]
    path = write_notebook(server.root / "side.ipynb", BEGIN, f"%%bg {' '.join(models)}\nGo on", "6 * 7")
    tab = await lab.tab("side.ipynb")
    await tab.run(0)
    await tab.run(1)
    await until_each(tab, "state", "Running", "Failed", "Done")
    await until_each(tab, "text", "one two", "It breaks", "quick")
    assert await each(tab, "heading") == models
    await tab.run(2)  # the kernel is free
    await tab.page.wait_for_selector(".jp-OutputArea-executeResult >> text=42")
    await tab.save()
    assert saved_markdown(path, 1).startswith(
        "#### demo/side-a\n\none two \n\n*Running…*\n\n#### demo/side-b\n\nIt breaks"
    )
    assert not await tab.dirty()
    provider.scripts["side-b"] = answer("It is whole")
    await tab.page.locator(".jp-bgstream-column:nth-child(2) [data-action=retry]").click()
    await until_each(tab, "state", "Running", "Done", "Done")
    provider.release()
    await until_each(tab, "state", "Done", "Done", "Done")
    await until_each(tab, "text", "one two three", "It is whole", "quick")
    await tab.save()
    whole = "#### demo/side-a\n\none two three\n\n#### demo/side-b\n\nIt is whole\n\n#### demo/side-c\n\n`quick`"
    assert saved_markdown(path, 1) == whole
    jobs = [await view.get_attribute("data-job") for view in await tab.view(1).all()]
    assert len(tab.sockets) == 1
    await tab.close()

    again = await lab.tab("side.ipynb")
    await until_each(again, "text", "one two three", "It is whole", "quick")
    await again.close()
    with server.client() as client:
        for job in (jobs[0], jobs[2]):
            assert client.delete(f"jobs/{job}").is_success
    gone = await lab.tab("side.ipynb")
    await until_each(gone, "state", "Not found", "Done", "Not found")
    await until_each(gone, "text", "one two three", "It is whole", "quick")  # each has its own saved words
    assert GONE in (await each(gone, "problem"))[0]
    await gone.save()
    assert saved_markdown(path, 1) == whole
    assert not await gone.dirty()


async def test_batch_view_is_live_and_marks_its_notice_as_read(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["row"] = answer("fine")
    provider.scripts["held-row"] = answer("one two", hold_after=1)
    provider.scripts["bad-row"] = answer("It breaks off").first(1)
    rows = 30
    models = {3: "bad-row", 7: "bad-row", 20: "held-row"}
    jobs = [
        {"id": f"views-row-{n:04}", "model": f"demo/{models.get(n, 'row')}", "prompt": str(n), "retry_policy": "never"}
        for n in range(rows)
    ]
    batch = "views-batch"
    path = write_notebook(server.root / "batch.ipynb", BEGIN, BATCH.format(batch=batch, rows=rows))
    with server.client() as client:
        assert client.post("batches", json={"id": batch, "total": rows, "title": "Rows", "jobs": jobs}).is_success
    tab = await lab.tab("batch.ipynb")
    await tab.run(0)
    await tab.run(1)
    await until_each(tab, "numbers", "27 of 30 answered · 2 failed · 1 running")
    bar = tab.page.get_by_role("progressbar", name="Rows")
    assert await bar.get_attribute("aria-valuenow") == "29"
    await tab.save()
    assert saved_markdown(path, 1) == "Rows: 27 of 30 answered, 2 failed, running…"
    assert not await tab.dirty()
    await tab.page.reload()
    await tab.ready()
    await until_each(tab, "numbers", "27 of 30 answered · 2 failed · 1 running")

    provider.release()
    await tab.state(1, "partly")
    await until_each(tab, "numbers", "28 of 30 answered · 2 failed")
    with server.client() as client:  # a user who sees it needs no toast
        await tab.until(lambda: not any(each["batch"] == batch for each in unread(client)))
    provider.scripts["bad-row"] = answer("fine")
    await tab.page.get_by_role("button", name="Retry 2 failed").click()
    await tab.state(1, "completed")
    await until_each(tab, "numbers", "30 of 30 answered")
    await tab.page.get_by_role("button", name="Show jobs").click()
    await tab.page.wait_for_selector("#jp-bgstream-panel .jp-bgstream-batch-filter >> text=of Rows")
    await tab.save()
    assert saved_markdown(path, 1) == "Rows: 30 of 30 answered"
    assert not tab.errors


async def test_batch_of_another_server_shows_saved_numbers(lab: Lab, server: Jupyter) -> None:
    path = write_notebook(server.root / "elsewhere.ipynb", BEGIN, BATCH.format(batch="of-another-server", rows=30))
    tab = await lab.tab("elsewhere.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "missing")
    await until_each(tab, "numbers", "0 of 30 answered")
    assert GONE in (await each(tab, "problem"))[0]
    await tab.save()
    before = path.read_text()
    await tab.close()
    tab = await lab.tab("elsewhere.ipynb")
    await tab.state(1, "missing")
    assert not await tab.dirty()
    await tab.save()
    assert path.read_text() == before


def unread(client: httpx.Client) -> list[dict[str, object]]:
    notices: list[dict[str, object]] = client.get("notices", params={"unread": "true"}).json()["notices"]
    return notices
