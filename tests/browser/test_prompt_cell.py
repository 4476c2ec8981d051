"""A cell of %%bg in the editors of JupyterLab and Notebook: prose with its expressions marked, and no Python."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from browser.lab import Lab, Tab, write_notebook
from harness.jupyter import Jupyter

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PROMPT = """%%bg demo/echo --thread trip
Why is this text for {reader} not {"json": "{x}"}?

    print(f"{name}")

It's for {n} people (in class)."""
PYTHON = 'for name in names:\n    print(f"{name}")'


async def opened(lab: Lab, server: Jupyter, name: str, *, app: str = "lab") -> Tab:
    write_notebook(server.root / f"{name}.ipynb", PROMPT, PYTHON, "%%time\nx = {name}")
    tab = await lab.tab(f"{name}.ipynb", app=app)
    await language(tab, 1, "python")
    return tab


async def language(tab: Tab, cell: int, name: str) -> None:
    """Wait until the editor of a cell has this language."""
    await tab.page.wait_for_function(
        """([n, name]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[n]
            ?.querySelector('.cm-content')?.dataset.language === name""",
        arg=[cell, name],
    )


async def marked(tab: Tab, cell: int, kind: str) -> list[str]:
    editor = tab.page.locator(".jp-Notebook .jp-Cell").nth(cell)
    return await editor.locator(f".jp-bgstream-promptcell-{kind}").all_text_contents()


async def colours(tab: Tab, cell: int) -> set[str]:
    """The colours of a cell's text, but for what is marked."""
    return set(
        await tab.page.evaluate(
            """n => {
                const editor = document.querySelectorAll('.jp-Notebook .jp-Cell')[n].querySelector('.cm-content');
                const texts = document.createTreeWalker(editor, NodeFilter.SHOW_TEXT);
                const found = [];
                for (let text = texts.nextNode(); text; text = texts.nextNode()) {
                    if (!text.parentElement.closest('[class*="jp-bgstream-promptcell-"]')) {
                        found.push(getComputedStyle(text.parentElement).color);
                    }
                }
                return found;
            }""",
            cell,
        )
    )


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_prompt_cell_is_prose_and_other_cells_are_python(lab: Lab, server: Jupyter, app: str) -> None:
    tab = await opened(lab, server, f"prose-{app}", app=app)
    await language(tab, 0, "bgstream-prompt")
    assert await marked(tab, 0, "magic") == ["%%bg"]
    assert await marked(tab, 0, "option") == ["--thread"]
    assert await marked(tab, 0, "expression") == ["{reader}", "{n}"]
    assert len(await colours(tab, 0)) == 1
    assert len(await colours(tab, 1)) > 1
    await language(tab, 2, "python")
    assert await marked(tab, 2, "expression") == []
    if app == "lab":  # Notebook has errors of its own
        assert not tab.errors
    if images := os.environ.get("BGSTREAM_PICTURES"):
        await tab.page.screenshot(path=Path(images) / f"{app}-light.png")
        await tab.page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        await tab.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        await tab.page.wait_for_function("document.fonts.status === 'loaded'")
        await tab.page.screenshot(path=Path(images) / f"{app}-dark.png")


async def test_cell_language_follows_first_line(lab: Lab, server: Jupyter) -> None:
    tab = await opened(lab, server, "follows")
    cell = tab.page.locator(".jp-Notebook .jp-Cell").nth(1)
    await cell.locator(".cm-content").click()
    await tab.page.keyboard.press("Control+Home")
    await tab.page.keyboard.type("%%bg\n\n")
    await language(tab, 1, "bgstream-prompt")
    await tab.page.keyboard.press("Control+End")
    # No line is indented because of the one before it, and no quote is closed.
    await tab.page.keyboard.type("\n\nIt's for")
    await tab.page.keyboard.press("Enter")
    await tab.page.keyboard.type('"a" (b) {n')
    source = "jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel.getSource()"
    typed = str(await tab.page.evaluate(source))
    # What Lab indents in this cell is what the line before was indented by.
    assert typed.splitlines()[-1].strip() in ('"a" (b) {n', '"a" (b) {n}')
    await tab.page.keyboard.press("Control+Home")
    await tab.page.keyboard.press("Delete")
    await language(tab, 1, "python")
    assert await marked(tab, 1, "magic") == []
    assert not tab.errors
