"""Everything that an answer has besides its text, in a real JupyterLab."""

from __future__ import annotations

import pytest
from browser.lab import Lab, saved_markdown, write_notebook
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import DONE, Script, Send, chunk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CALL = {"index": 0, "id": "c1", "function": {"name": "look_up", "arguments": '{"of":"sky","deep":[1,2]}'}}
SOURCES = [
    {"url": "https://example.org/rayleigh?a=1&b=2", "title": "Rayleigh scattering"},
    {"url": "javascript:hit()", "title": "Nothing to click"},
]
PARTS = Script(
    steps=tuple(
        Send(piece)
        for piece in (
            chunk({"reasoning_content": "Short waves are **scattered** more."}),
            chunk({"content": "The sky is *blue* because short waves are scattered"}, search_results=SOURCES),
            chunk({"tool_calls": [CALL]}),
            chunk(finish_reason="length"),
            chunk(usage={"prompt_tokens": 1200, "completion_tokens": 345, "cost": 0.0012}),
            DONE,
        )
    )
)
CUT = "The answer was cut off at the limit of tokens."


async def test_answer_shows_reasoning_tool_calls_sources_usage_and_cost(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["parts"] = PARTS
    write_notebook(server.root / "parts.ipynb", "%load_ext jupyter_bgstream", "%%bg demo/parts\nWhy is the sky blue?")
    tab = await lab.tab("parts.ipynb")
    await tab.page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    await tab.shows(1, "The sky is blue")
    view = tab.view(1)

    async def words(name: str) -> str:
        return await view.locator(f".jp-bgstream-{name}").inner_text()

    assert await words("state") == "Cut off"
    assert await words("ending") == CUT
    assert await words("tokens") == "345 tokens"
    assert await words("cost") == "$0.0012"
    assert await view.locator(".jp-bgstream-cost").get_attribute("title") == "The cost that the provider reported."

    reasoning = view.locator(".jp-bgstream-reasoning")
    assert not await reasoning.locator(".jp-bgstream-plain").is_visible()
    await reasoning.locator("summary").click()
    assert await reasoning.locator(".jp-bgstream-plain").inner_text() == "Short waves are **scattered** more."

    tool = view.locator(".jp-bgstream-tool")
    assert not await tool.locator(".jp-bgstream-arguments").is_visible()
    await tool.locator("summary").click()
    assert await tool.locator("summary").inner_text() == "Asks for the tool look_up"
    shown = '{\n  "of": "sky",\n  "deep": [\n    1,\n    2\n  ]\n}'
    assert await tool.locator(".jp-bgstream-arguments").inner_text() == shown

    sources = view.locator(".jp-bgstream-source")
    assert await sources.all_inner_texts() == ["Rayleigh scattering example.org", "Nothing to click"]
    (link,) = await sources.locator("a").all()
    assert await link.get_attribute("href") == "https://example.org/rayleigh?a=1&b=2"
    assert await link.get_attribute("rel") == "noopener noreferrer nofollow"

    row = tab.page.locator(f".jp-bgstream-jobs [data-job='{await tab.job(1)}']")
    await row.locator(".jp-bgstream-details >> text=$0.0012").wait_for()
    assert await row.locator(".jp-bgstream-state").inner_text() == "Cut off"
    await tab.page.wait_for_selector(".jp-bgstream-today >> text=today: $0.0012")

    await tab.save()
    assert saved_markdown(server.root / "parts.ipynb", 1) == (
        "The sky is *blue* because short waves are scattered\n\nSources:\n\n"
        "1. [Rayleigh scattering](<https://example.org/rayleigh?a=1&amp;b=2>)\n2. Nothing to click\n\n"
        f"*{CUT}*"
    )
    assert not tab.errors
