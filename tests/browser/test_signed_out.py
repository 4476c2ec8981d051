"""A page whose login the server no longer accepts, as after a JupyterHub has restarted the user's server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, new_lab, write_notebook
from browser.test_cell import LOAD, TEXT, bg
from harness.jupyter import Jupyter, jupyter
from playwright.async_api import Browser

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SIGN_IN = "Sign in again: reload this page"
BATCH = "import jupyter_bgstream as bg\nbg.map([{'n': 1}, {'n': 2}], 'Say {n}.', model='demo/held')"
WIDGET = "bg.submit('Hello', model='demo/held').view()"


@pytest.fixture
def restarted(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    config = {
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}},
        "LabApp": {"expose_app_in_browser": True},
    }
    with jupyter(tmp_path_factory.mktemp("restarted"), lab=True, config=config) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def ann(browser: Browser, restarted: Jupyter) -> AsyncIterator[Lab]:
    lab = await new_lab(browser, restarted)
    yield lab
    await lab.context.close()


def restart_with_new_secrets(server: Jupyter) -> None:
    """Restart at the same address, so that neither cookies nor the token of before are accepted."""
    server.kill()
    (server.runtime / "jupyter_cookie_secret").unlink()
    server.token = secrets.token_hex(16)
    server.start()


async def try_again(tab: Tab) -> None:
    """Come back to the window, and wait until the page has tried to open its socket."""
    tries = len(tab.sockets)
    await tab.page.evaluate("window.dispatchEvent(new Event('focus'))")
    await tab.until(lambda: len(tab.sockets) > tries)


async def says(tab: Tab, place: str, text: str) -> None:
    """Wait until the element at this place has exactly this text."""
    await tab.page.wait_for_function(
        "([place, text]) => document.querySelector(place)?.textContent === text",
        arg=[place, text],
    )


async def test_signed_out_page_stops_its_clocks_and_recovers_after_sign_in(
    ann: Lab, restarted: Jupyter, provider: ThreadedProvider
) -> None:
    for name in ("cell", "held"):
        provider.scripts[name] = answer(TEXT, hold_after=8)
    thread = "%%bg demo/held --thread trip\nHello"
    write_notebook(restarted.root / "out.ipynb", LOAD, bg("cell"), BATCH, WIDGET, thread)
    tab = await ann.tab("out.ipynb")
    for n in range(5):
        await tab.run(n)
    await tab.shows(1, "Some emphasis")
    await tab.shows(3, "Some emphasis")
    await tab.page.wait_for_selector(".jp-bgstream-batch[data-state=running]")
    await tab.page.evaluate("jupyterapp.shell.activateById('jp-bgstream-panel')")
    await tab.page.click("li[data-thread=trip] [data-action=open]")
    await tab.page.wait_for_selector(".jp-bgstream-turn [data-state=streaming]")
    restart_with_new_secrets(restarted)

    panel, out = "#jp-bgstream-panel", ".jp-bgstream-view[data-denial=signed_out]"
    await says(tab, f"{panel} .jp-bgstream-trouble", SIGN_IN)
    await says(tab, ".jp-bgstream-threadstatus", SIGN_IN)
    assert SIGN_IN in await tab.page.locator(".jp-bgstream-threadtab .jp-bgstream-hint").inner_text()
    for place in ("nth=1", "nth=2", "nth=3", "nth=4"):  # cell, batch, widget, cell of a thread
        view = tab.page.locator(".jp-Notebook .jp-Cell").locator(place).locator(out)
        assert await view.locator(".jp-bgstream-connection").text_content() == SIGN_IN
    assert await tab.page.locator(f".jp-bgstream-turn {out}").count() == 1
    toast = tab.page.locator(".Toastify__toast", has_text=SIGN_IN)
    await toast.wait_for()
    # The clocks stand still, in every view and in the list, while the page continues to try.
    clocks = ".jp-bgstream-elapsed, #jp-bgstream-panel .jp-bgstream-jobs .jp-bgstream-details"
    before = await tab.page.locator(clocks).all_text_contents()
    await try_again(tab)
    await try_again(tab)
    assert await tab.page.locator(clocks).all_text_contents() == before

    # Signing in again elsewhere is enough.
    other = await ann.context.new_page()
    await other.goto(f"{restarted.url}lab?token={restarted.token}")
    await other.close()
    await tab.page.evaluate("window.dispatchEvent(new Event('focus'))")
    await tab.state(1, "interrupted")
    await says(tab, f"{panel} .jp-bgstream-trouble", "")
    await says(tab, ".jp-bgstream-threadstatus", "")
    await toast.wait_for(state="detached")
    assert await tab.page.locator("[data-denial]").count() == 0


async def test_page_of_stopped_server_is_not_signed_out(
    ann: Lab, restarted: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["gone"] = answer(TEXT, hold_after=8)
    write_notebook(restarted.root / "gone.ipynb", LOAD, bg("gone"))
    tab = await ann.tab("gone.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "Some emphasis")
    tries = len(tab.sockets)
    restarted.kill()
    await tab.until(lambda: len(tab.sockets) >= tries + 3)
    assert await tab.view(1).locator(".jp-bgstream-connection").text_content() == "Reconnecting…"
    restarted.start()
    await tab.state(1, "interrupted")


async def test_redirect_to_another_sites_login_page_is_signed_out(
    ann: Lab, restarted: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["sso"] = answer(TEXT, hold_after=8)
    write_notebook(restarted.root / "sso.ipynb", LOAD, bg("sso"))
    tab = await ann.tab("sso.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "Some emphasis")
    await tab.page.route("https://login.example/**", lambda route: route.fulfill(body="<html>Sign in</html>"))
    away = {"status": 302, "headers": {"Location": "https://login.example/?next=x"}}
    await tab.page.route("**/api/bgstream/status*", lambda route: route.fulfill(**away))
    restarted.kill()
    await says(tab, ".jp-bgstream-connection", SIGN_IN)
