"""Formulas and prices of an answer, as JupyterLab and Notebook draw them."""

from __future__ import annotations

import pytest
from browser.lab import Lab, Tab, saved_markdown, write_notebook
from browser.test_cell import LOAD, bg
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TEXT = r"""The area is \(\pi r^2\), or $\frac{1}{4}\pi d^2$, and

\[\int_0^1 x\,dx = \frac{1}{2}\]

It costs $5 today and $6 tomorrow, and `\(code\)` stays.

| item | price | area |
|---|---|---|
| small | $5 to $6 | \(x_1\) |
| large | $7 | $y^2$ |

```python
price = "$5 and $6", r"\(x\)"
```
"""
FORMULAS = 5
PARAGRAPH = r"It costs $5 today and $6 tomorrow, and \(code\) stays."


async def drawn(tab: Tab, cell: int) -> None:
    """Wait until the formulas of an answer are set, and compare the other text."""
    await tab.shows(cell, "price =")
    await tab.page.wait_for_function(
        "([n, count]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[n]"
        "?.querySelectorAll('.jp-bgstream-text mjx-container').length === count",
        arg=[cell, FORMULAS],
    )
    text = tab.view(cell).locator(".jp-bgstream-text")
    assert PARAGRAPH in await text.locator("p").all_inner_texts()
    cells = text.locator("td")
    assert [await cells.nth(n).inner_text() for n in (0, 1, 3, 4)] == ["small", "$5 to $6", "large", "$7"]
    assert await text.locator("td mjx-container").count() == 2
    assert (await text.locator("pre").inner_text()).strip() == r'price = "$5 and $6", r"\(x\)"'


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_formulas_are_typeset_and_prices_stay_text(
    lab: Lab, server: Jupyter, provider: ThreadedProvider, app: str
) -> None:
    provider.scripts["formulas"] = answer(TEXT)
    path = write_notebook(server.root / f"formulas-{app}.ipynb", LOAD, bg("formulas"))
    tab = await lab.tab(path.name, app=app)
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    await drawn(tab, 1)
    await tab.save()
    saved = saved_markdown(path, 1)
    assert r"The area is $\pi r^2$" in saved
    assert "| small | <span>&#36;</span>5 to <span>&#36;</span>6 | $x_1$ |" in saved
    await tab.page.reload()
    await tab.ready()
    await drawn(tab, 1)
    await tab.close()
