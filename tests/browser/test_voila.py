"""Answers on a page of Voilà, from the environment where tests/check.sh puts it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser.lab import new_context, write_notebook
from browser.test_cell import LOAD, TEXT, bg
from harness.images import png
from harness.jupyter import Jupyter, free_port, jupyter, of_this_machine
from playwright.async_api import Browser, Page, expect

import jupyter_bgstream
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROOT = Path(jupyter_bgstream.__file__).parents[1]
PYTHON = ROOT / ".venv" / "voila" / "bin" / "python"

BATCH = "import jupyter_bgstream as bg\nbatch = bg.map([{'n': 1}, {'n': 2}], 'Say {n}.', model='demo/row')"
VIEW = "bg.submit('Hello', model='demo/view').view()"
HANDLE = "bg.submit('Hello', model='demo/handle')"
SEVERAL = "%%bg demo/first demo/second\nHello"
CELLS = (LOAD, bg("cell"), BATCH, VIEW, HANDLE, SEVERAL)
HELD = ("cell", "view", "handle", "first", "second")


class Voila:
    """One Voilà, as it is started in a terminal; it is no Jupyter server and runs no jobs itself."""

    def __init__(self, home: Path, notebook: Path, *options: str) -> None:
        self._port = free_port()
        address = (f"--port={self._port}", "--no-browser", "--Voila.ip=127.0.0.1")
        command = [PYTHON, "-m", "voila", notebook, *address, *options]
        self._process = subprocess.Popen(
            command, env=environment(home), cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.log: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(60), "".join(self.log)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(line)
            if "is running at" in line:
                self._ready.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=90)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def environment(home: Path) -> dict[str, str]:
    """Return the environment of programs that have this home."""
    env = {name: value for name, value in os.environ.items() if not of_this_machine(name)}
    return env | {
        "HOME": str(home),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PATH": str(extensions(home)),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def extensions(home: Path) -> Path:
    """Return a folder of Jupyter data with our labextension as it is built now; an installation has it too."""
    folder = home / "share" / "labextensions" / "jupyter-bgstream"
    if not folder.exists():
        shutil.copytree(ROOT / "jupyter_bgstream" / "labextension", folder)  # Voilà serves no file through a link
    return home / "share"


@contextlib.contextmanager
def voila(home: Path, notebook: Path, *options: str) -> Iterator[Voila]:
    assert PYTHON.exists(), "Voilà is needed in .venv/voila: see tests/check.sh."
    running = Voila(home, notebook, *options)
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def serving(home: Path, provider: ThreadedProvider) -> Iterator[None]:
    """Run ``jupyter bgstream serve``, as a user without a Jupyter server does."""
    config = home / "config" / "jupyter_server_config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}}}))
    process = subprocess.Popen(
        [PYTHON, "-m", "jupyter_bgstream.cli", "serve"], env=environment(home), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert "Running jobs at" in process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait(timeout=90)
        process.stdout.close()


@pytest.fixture
def server(tmp_path: Path, provider: ThreadedProvider) -> Iterator[Jupyter]:
    """The only server in reach, which runs the jobs; Voilà itself may be an extension of it."""
    assert PYTHON.exists(), "Voilà is needed in .venv/voila: see tests/check.sh."
    config = {
        "ServerApp": {"jpserver_extensions": {"jupyter_bgstream": True, "voila.server_extension": True}},
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}},
    }
    path = {"JUPYTER_PATH": str(extensions(tmp_path))}
    with jupyter(tmp_path, config=config, python=PYTHON, **path) as server:
        yield server


async def visit(page: Page, url: str) -> list[str]:
    """Open a page, and return the list in which its errors will be."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(url)  # it comes as the cells run
    return errors


async def streams_live_and_ends(page: Page, url: str, provider: ThreadedProvider, *, hold: bool = True) -> None:
    """Visit a page with CELLS and watch its answers; those that are not held may have ended before the visit."""
    for name in HELD:
        provider.scripts[name] = answer(TEXT, hold_after=8 if hold else None)
    provider.scripts["row"] = answer("a row")
    errors = await visit(page, url)
    views = page.locator(".jp-bgstream-view:not(.jp-bgstream-batch)")
    await expect(views).to_have_count(len(HELD))
    for n in range(len(HELD)):
        await expect(views.nth(n)).to_contain_text("Some emphasis")
        if hold:
            await expect(views.nth(n)).to_have_attribute("data-state", "streaming")
    await expect(page.locator(".jp-bgstream-batch")).to_contain_text("2 of 2 answered")
    if hold:
        provider.release(len(HELD))
    for n in range(len(HELD)):
        await expect(views.nth(n)).to_have_attribute("data-state", "completed")
        await expect(views.nth(n)).to_contain_text("And the last words.")
    await expect(page.locator("body")).not_to_contain_text("Queued…")
    assert not errors


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await new_context(browser)
    yield await context.new_page()
    await context.close()


async def test_answers_stream_on_page_and_after_reload(
    page: Page, server: Jupyter, provider: ThreadedProvider, tmp_path: Path
) -> None:
    with voila(tmp_path, write_notebook(tmp_path / "page.ipynb", *CELLS)) as running:
        await streams_live_and_ends(page, running.url, provider)
        await streams_live_and_ends(page, running.url, provider)  # with a kernel of its own
    with server.client() as client:
        assert client.get("status").json()["counts"]["completed"] == 2 * len(HELD) + 2  # a batch is asked once


async def test_page_gets_images_from_kernel(
    page: Page, server: Jupyter, provider: ThreadedProvider, tmp_path: Path
) -> None:
    provider.scripts["drawn"] = answer("Here.", images=[png(48, 32), png(640, 480, noise=True)])
    with voila(tmp_path, write_notebook(tmp_path / "page.ipynb", LOAD, bg("drawn"))) as running:
        await visit(page, running.url)
        images = page.locator(".jp-bgstream-image[data-state=shown] img")
        await expect(images).to_have_count(2)
        assert await images.evaluate_all("all => all.map(image => image.naturalWidth)") == [48, 640]


async def test_visitor_stops_and_retries_answer(
    page: Page, server: Jupyter, provider: ThreadedProvider, tmp_path: Path
) -> None:
    provider.scripts["stopped"] = answer(TEXT, hold_after=8)
    with voila(tmp_path, write_notebook(tmp_path / "page.ipynb", LOAD, bg("stopped"))) as running:
        await page.goto(running.url)
        view = page.locator(".jp-bgstream-view")
        await expect(view).to_contain_text("Some emphasis")
        await view.locator("[data-action=stop]").click()
        await expect(view).to_have_attribute("data-state", "cancelled")
        await expect(view).to_contain_text("Some emphasis")
        provider.scripts["stopped"] = answer(TEXT)
        await view.locator("[data-action=retry]").click()
        await expect(view).to_have_attribute("data-state", "completed")
        await expect(view).to_contain_text("And the last words.")


async def test_answers_stream_when_voila_is_server_extension(
    page: Page, server: Jupyter, provider: ThreadedProvider
) -> None:
    write_notebook(server.root / "page.ipynb", *CELLS)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("websocket", lambda socket: requests.append(socket.url))
    await streams_live_and_ends(page, f"{server.url}voila/render/page.ipynb?token={server.token}", provider)
    # A visitor of the page gets nothing from this API, which knows all jobs of the server's owner.
    assert not [url for url in requests if "/api/bgstream/" in url]


@pytest.mark.parametrize("option", ["--preheat_kernel=True", "--progressive_rendering=True"])
async def test_answers_stream_on_preheated_and_progressive_pages(
    page: Page, server: Jupyter, provider: ThreadedProvider, tmp_path: Path, option: str
) -> None:
    with voila(tmp_path, write_notebook(tmp_path / "page.ipynb", *CELLS), option) as running:
        # Preheated kernels ask for future visitors, and would take the release that is for another one.
        await streams_live_and_ends(page, running.url, provider, hold="preheat" not in option)


async def test_cell_names_command_without_server_and_streams_with_serve(
    page: Page, provider: ThreadedProvider, tmp_path: Path
) -> None:
    with voila(tmp_path, write_notebook(tmp_path / "page.ipynb", *CELLS)) as running:
        await page.goto(running.url)
        body = page.locator("body")
        await expect(body).to_contain_text("Not sent: No Jupyter server with jupyter_bgstream is running")
        await expect(body).to_contain_text("Start `jupyter bgstream serve` in a terminal")
        with serving(tmp_path, provider):
            await streams_live_and_ends(page, running.url, provider)
