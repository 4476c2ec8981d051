"""JupyterLab on a Hub in real Chromium: below a prefix, behind the proxy, signed in by the Hub."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, new_context, write_notebook
from browser.test_panel import LOAD, PANEL, open_panel
from browser.test_signed_out import SIGN_IN, says
from harness.hub import Hub, UserServer
from playwright.async_api import Browser

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WORDS = " ".join(f"word{n}" for n in range(40))


class HubTab(Tab):
    """A tab of a user that has signed in at the Hub: there is no token in its address."""

    async def open(self, name: str, *, app: str = "lab") -> Tab:
        await self.page.goto(f"{self.server.url}lab/workspaces/{secrets.token_hex(4)}/tree/{name}")
        return await self.ready()


class HubLab(Lab):
    """A browser that has signed in at the Hub."""

    async def tab(self, name: str, *, app: str = "lab") -> Tab:
        return await HubTab(await self.context.new_page(), self.server).open(name, app=app)


async def sign_in(browser: Browser, server: UserServer) -> HubLab:
    context = await new_context(browser)
    page = await context.new_page()
    await page.goto(f"{server.hub.url}hub/login?next=%2Fcampus%2Fhub%2Fhome")
    await page.fill("#username_input", server.user)
    await page.fill("#password_input", "any")
    await page.click("#login_submit")
    await page.wait_for_url("**/hub/home")
    await page.close()
    return HubLab(context, server)


@pytest_asyncio.fixture(loop_scope="session")
async def lab(browser: Browser, server: UserServer) -> AsyncIterator[Lab]:
    """A browser on a user's server, in each of the two single-user modes."""
    lab = await sign_in(browser, server)
    yield lab
    await lab.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def ann(browser: Browser, hub: Hub) -> AsyncIterator[Lab]:
    lab = await sign_in(browser, hub.server("ann"))
    yield lab
    await lab.context.close()


async def running(lab: Lab, provider: ThreadedProvider, name: str) -> Tab:
    """Open a notebook whose second cell runs a job that holds in mid-answer."""
    provider.scripts[name] = answer(WORDS, hold_after=20)
    write_notebook(lab.server.root / f"{name}.ipynb", LOAD, f"%%bg demo/{name}\nTell me about {name}")
    tab = await lab.tab(f"{name}.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "word19")
    return tab


async def test_answer_streams_and_is_stopped_in_the_panel(lab: Lab, provider: ThreadedProvider) -> None:
    name = f"stream-{lab.server.user}"
    tab = await running(lab, provider, name)
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "word39")
    assert (await tab.text(1)).strip() == WORDS

    await tab.run(1)
    await tab.shows(1, "word19")
    await open_panel(tab)
    row = tab.page.locator(f"{PANEL} .jp-bgstream-jobs [data-job='{await tab.job(1)}']")
    await row.locator("[data-action=stop]").click()
    await tab.state(1, "cancelled")
    assert tab.errors == []
    base = urlsplit(lab.server.url).path
    ours = [urlsplit(url).path for url in tab.requests if "bgstream" in url]
    ours += [urlsplit(socket.url).path for socket in tab.sockets]
    assert ours
    assert [path for path in ours if not path.startswith(base)] == []


async def test_killed_proxy_loses_nothing(ann: Lab, hub: Hub, provider: ThreadedProvider) -> None:
    tab = await running(ann, provider, "proxy")
    hub.kill_proxy()
    await tab.page.wait_for_selector(".jp-bgstream-connection >> text=reconnecting")
    provider.release()  # the answer ends while no page can see it
    hub.start_proxy()
    hub.await_routes(hub.server("ann"))
    await tab.state(1, "completed")
    await tab.shows(1, "word39")
    assert (await tab.text(1)).strip() == WORDS
    assert len(provider.asked("proxy")) == 1


async def test_named_server_shows_jobs_of_its_user(browser: Browser, hub: Hub, provider: ThreadedProvider) -> None:
    server = hub.server("ann", "second")
    lab = await sign_in(browser, server)
    tab = await running(lab, provider, "named")
    await open_panel(tab)
    provider.release()
    await tab.state(1, "completed")
    assert all("/user/ann/second/" in socket.url for socket in tab.sockets)
    first = await sign_in(browser, hub.server("ann"))
    write_notebook(first.server.root / "other.ipynb", "1")
    other = await first.tab("other.ipynb")
    await open_panel(other)
    await other.page.wait_for_selector(f"{PANEL} [data-job='{await tab.job(1)}']")
    for each in (lab, first):
        await each.context.close()


async def test_restarted_server_asks_to_sign_in_again(browser: Browser, hub: Hub, provider: ThreadedProvider) -> None:
    server = hub.server("ivy")
    lab = await sign_in(browser, server)
    tab = await running(lab, provider, "restart")
    await tab.save()
    # No goodbye, as when a node is lost: the page tries again, until the Hub has started the server anew.
    server.kill()
    await says(tab, ".jp-bgstream-view .jp-bgstream-connection", "Reconnecting…")
    server.start()
    await says(tab, ".jp-bgstream-view .jp-bgstream-connection", SIGN_IN)
    clock = tab.view(1).locator(".jp-bgstream-elapsed")
    before = await clock.text_content()
    tries = len(tab.sockets)
    await tab.page.evaluate("window.dispatchEvent(new Event('focus'))")
    await tab.until(lambda: len(tab.sockets) > tries)
    assert await clock.text_content() == before
    # Reloading is enough: the Hub knows the user still.
    await tab.page.reload()
    await tab.ready()
    await tab.state(1, "interrupted")
    await tab.shows(1, "word19")
    await lab.context.close()
