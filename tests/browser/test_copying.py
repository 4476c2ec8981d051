"""Copied outputs are the Markdown of their answers."""

from __future__ import annotations

import pytest
from browser.lab import Lab, write_notebook
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TEXT = "# A title\n\nSome *emphasis*, \\(x_1\\), $5 and $6:\n\n- one\n\n```python\nprint('x')\n```\n\nLast words."


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_copied_output_is_its_markdown(lab: Lab, server: Jupyter, provider: ThreadedProvider, app: str) -> None:
    provider.scripts["copied"] = answer(TEXT, reasoning="Hm.")
    provider.scripts["other"] = answer("Other words.")
    cells = [
        "%load_ext jupyter_bgstream",
        "%%bg demo/copied\nHello",
        "%%bg demo/copied demo/other\nHi",
        "print('plain')",
    ]
    write_notebook(server.root / f"copied-{app}.ipynb", *cells)
    tab = await lab.tab(f"copied-{app}.ipynb", app=app)
    await tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for cell in range(4):
        await tab.run(cell)
    for cell in (1, 2):
        await tab.state(cell, "completed")
        await tab.shows(cell, "Last words.")

    async def copied(cell: int) -> str:
        return str(
            await tab.page.evaluate(
                """async n => {
                    const { content } = jupyterapp.shell.currentWidget;
                    content.activeCellIndex = n;
                    await content.activeCell.ready;
                    await jupyterapp.commands.execute('notebook:copy-to-clipboard');
                    return await navigator.clipboard.readText();
                }""",
                cell,
            )
        )

    assert await copied(1) == TEXT
    await tab.page.wait_for_function(
        "[...document.querySelectorAll('.jp-bgstream-column .jp-bgstream-view')]"
        ".every(view => view.dataset.state === 'completed')"
    )
    several = await copied(2)
    assert several == f"#### demo/copied\n\n{TEXT}\n\n#### demo/other\n\nOther words."
    assert (await copied(3)).strip() == "plain"


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_selected_words_are_copied_without_the_state_line(
    lab: Lab, server: Jupyter, provider: ThreadedProvider, app: str
) -> None:
    provider.scripts["selected"] = answer(TEXT)
    name = f"selected-{app}.ipynb"
    write_notebook(server.root / name, "%load_ext jupyter_bgstream", "%%bg demo/selected\nHello")
    tab = await lab.tab(name, app=app)
    await tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    await tab.shows(1, "Last words.")
    found = await tab.page.evaluate(
        """async () => {
            const view = document.querySelector('.jp-bgstream-view');
            const title = view.querySelector('h1').firstChild;
            getSelection().setBaseAndExtent(view.querySelector('.jp-bgstream-line').firstChild, 0, title, 7);
            document.execCommand('copy');
            return await navigator.clipboard.readText();
        }"""
    )
    assert found.strip() == "A title"
