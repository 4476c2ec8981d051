"""Images of answers in real pages: live, after a reload, in the file, and in a widget without a server in reach."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import pytest
from browser.lab import Lab, Tab, saved_markdown, write_notebook
from browser.test_cell import LOAD, bg
from browser.test_widget import HEAD, bare, cell, notebook  # noqa: F401 - two are fixtures
from harness.images import png
from harness.jupyter import Jupyter
from playwright.async_api import Route, expect

from jupyter_bgstream.core.events import Image
from jupyter_bgstream.core.image_files import size_words
from jupyter_bgstream.core.state import Answer
from jupyter_bgstream.outputs.mimebundle import OutputSnapshot, bundle
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WIDE, SMALL, LARGE = png(640, 360), png(48, 32), png(640, 480, noise=True)
REMOTE = "https://example.org/pixel.png"


async def drawn(tab: Tab, at: str, widths: list[int]) -> None:
    """Wait until the images of the view in a place are drawn, each as wide as its file says."""
    await tab.page.wait_for_function(
        """([at, widths]) => {
            const images = [...document.querySelectorAll(`${at} .jp-bgstream-image[data-state=shown] img`)];
            return JSON.stringify(images.map(image => image.naturalWidth)) === JSON.stringify(widths);
        }""",
        arg=[at, widths],
    )


def data_uri(file: bytes) -> str:
    return f"data:image/png;base64,{b64encode(file).decode()}"


async def test_images_are_shown_live_saved_and_shown_after_reload(
    lab: Lab, server: Jupyter, provider: ThreadedProvider, tmp_path: Path
) -> None:
    text = [f"Here, and not at ![x]({REMOTE}):"]
    provider.scripts["drawn"] = answer(text, images=[WIDE, SMALL, LARGE], hold_after=2)
    path = write_notebook(server.root / "images.ipynb", LOAD, bg("drawn"))
    tab = await lab.tab("images.ipynb")
    await tab.run(0)
    await tab.run(1)
    await drawn(tab, cell(1), [640])
    await tab.state(1, "streaming")
    await tab.shows(1, "(Picture 1: PNG, ")
    provider.release()
    await tab.state(1, "completed")
    await drawn(tab, cell(1), [640, 48, 640])
    view = tab.view(1)
    caption = view.locator(".jp-bgstream-caption").nth(1)
    assert await caption.locator(".jp-bgstream-called").inner_text() == f"Picture 2, PNG, {size_words(len(SMALL))}"
    box = await view.locator(".jp-bgstream-pixels").first.bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (640, 360)
    async with tab.page.expect_download() as downloading:
        await caption.locator(".jp-bgstream-save").click()
    download = await downloading.value
    await download.save_as(tmp_path / "saved")
    assert (download.suggested_filename, (tmp_path / "saved").read_bytes()) == ("picture-2.png", SMALL)

    async with asyncio.timeout(90):  # until the page has read what its file may have
        while data_uri(SMALL) not in saved_markdown(path, 1):
            await tab.save()
    saved = saved_markdown(path, 1)
    assert f"![Picture 1]({data_uri(WIDE)})" in saved
    assert f"![Picture 2]({data_uri(SMALL)})" in saved
    assert "Picture 3, PNG, 1.2 MB, is not in this file, which would become too large." in saved
    assert saved.count("data:") == 2

    job = await tab.job(1)
    await tab.page.reload()
    await tab.ready()
    await drawn(tab, cell(1), [640, 48, 640])
    assert "base64" not in await tab.text(1)
    assert not await tab.dirty()
    assert not [url for url in tab.requests if "example.org" in url]

    # What was saved is there without the job; what was not says why.
    with server.client() as client:
        client.delete(f"jobs/{job}").raise_for_status()
    await tab.page.reload()
    await tab.ready()
    await tab.state(1, "missing")
    await drawn(tab, cell(1), [640, 48])
    await tab.shows(1, "Picture 3, PNG, 1.2 MB, is not in this file")
    assert not tab.errors


async def test_image_only_answer_is_labelled_and_failed_image_shows_reason(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["only"] = answer("", images=[SMALL])
    write_notebook(server.root / "only.ipynb", LOAD, bg("only"))
    tab = await lab.tab("only.ipynb")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, json={"code": "unavailable", "message": "The server stops."})

    await tab.page.route("**/images/*", refuse)
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    view = tab.view(1)
    assert await view.locator(".jp-bgstream-state").inner_text() == "Done, 1 image"
    assert not await view.locator(".jp-bgstream-ending").is_visible()
    caption = view.locator(".jp-bgstream-caption")
    await expect(caption).to_have_text(
        f"Picture 1, PNG, {size_words(len(SMALL))}Not shown: The server stops.SaveTry again"
    )
    assert not await caption.locator(".jp-bgstream-save").is_visible()
    await tab.page.unroute("**/images/*")
    await caption.locator(".jp-bgstream-again").click()
    await drawn(tab, cell(1), [48])
    await tab.shows(1, f"(Picture 1: PNG, {size_words(len(SMALL))})")


async def test_widget_without_server_gets_images_from_kernel(
    bare: Tab,  # noqa: F811
    notebook: Path,  # noqa: F811
    provider: ThreadedProvider,
) -> None:
    provider.scripts["handed"] = answer("Here.", images=[SMALL, LARGE])
    write_notebook(notebook, HEAD, "display(submit('x', model='demo/handed').view())")
    await bare.open(notebook.name)
    await bare.run(0)
    await bare.run(1)
    await drawn(bare, cell(1), [48, 640])
    assert not [url for url in bare.requests if "/api/bgstream/" in url]


async def test_lab_without_extension_draws_saved_image(
    bare: Tab,  # noqa: F811
    notebook: Path,  # noqa: F811
) -> None:
    image = Image(id="1-1", media_type="image/png", bytes=len(SMALL))
    answered = Answer(status="completed", finish_reason="stop", text="Here.", images=(image,))
    data = bundle(OutputSnapshot("job-saved", "p/m", "c", answered, {"1-1": SMALL}))
    write_notebook(notebook, "x")
    content = json.loads(notebook.read_text())
    content["cells"][0]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
    notebook.write_text(json.dumps(content))
    await bare.open(notebook.name)
    image_of_lab = bare.page.locator(".jp-OutputArea-output.jp-RenderedMarkdown img")
    await expect(image_of_lab).to_have_js_property("naturalWidth", 48)
    assert await image_of_lab.get_attribute("alt") == "Picture 1"


async def test_small_inline_images_and_diagrams_are_shown(
    lab: Lab, server: Jupyter, provider: ThreadedProvider
) -> None:
    bomb = png(1, 1).replace(b"IHDR\x00\x00\x00\x01\x00\x00\x00\x01", b"IHDR\x00\x00\xff\xff\x00\x00\xff\xff")
    svg = "data:image/svg+xml;base64," + b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    diagram = "```mermaid\ngraph LR\na-->b\n```"
    text = f"![small]({data_uri(SMALL)})\n\n![bomb]({data_uri(bomb)}) ![drawing]({svg})\n\nThe end."
    provider.scripts["markdown"] = answer([f"{diagram}\n\n{text}"])
    provider.scripts["html"] = answer([f"{diagram}\n\n<image src='{svg}'>\n\n<img alt=x src='{svg}'>\n\nThe end."])
    write_notebook(server.root / "inline.ipynb", LOAD, bg("markdown"), bg("html"))
    tab = await lab.tab("inline.ipynb")
    for n in range(3):
        await tab.run(n)
    for n in (1, 2):
        await tab.state(n, "completed")
        await tab.shows(n, "The end.")
    await tab.page.wait_for_selector(f"{cell(1)} .jp-bgstream-text .jp-RenderedMermaid img")
    images = await tab.view(1).locator(".jp-bgstream-text img").all()
    drawing, *others = [await image.get_attribute("src") or "" for image in images]
    assert (drawing.startswith("data:image/svg+xml"), others) == (True, [data_uri(SMALL)])
    assert "bomb drawing" in await tab.text(1)
    # Raw HTML makes one part of all: a diagram beside an image is the code that it is.
    assert await tab.view(2).locator(".jp-bgstream-text img").count() == 0
    assert "a-->b" in await tab.text(2)
    await tab.close()
