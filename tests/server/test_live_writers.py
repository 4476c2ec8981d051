"""Save leases: one of the pages that share a document writes the end of an answer into it."""

from __future__ import annotations

from harness.jupyter import Jupyter
from server.test_live import Page, connect

from jupyter_bgstream.server.save_leases import LEASE_SECONDS, MAX_LEASES, SaveLeases

WANTED = {"document": "shared.ipynb", "job": "job-12345678"}


async def granted(page: Page, **other: str) -> bool:
    wanted = WANTED | other
    await page.send("write", **wanted)
    return bool((await page.until("write", **wanted))["granted"])


async def test_one_page_holds_save_lease_until_it_leaves(server: Jupyter) -> None:
    first, second = Page(await connect(server)), Page(await connect(server))
    assert await granted(first)
    assert not await granted(second)
    assert await granted(second, document="another.ipynb")  # a copy of the notebook has its own writer
    assert await granted(second, job="job-87654321")
    assert await granted(first)  # asking again takes nothing away
    await first.leave()
    while not await granted(second):  # the server hears of it a moment later
        pass
    await second.leave()


async def test_too_large_write_frame_is_refused(server: Jupyter) -> None:
    page = Page(await connect(server))
    await page.send("write", document="x" * 5000, job="j")
    assert (await page.until("error"))["code"] == "invalid"
    assert await granted(page)
    await page.leave()


def test_frozen_page_loses_its_lease() -> None:
    now = 0.0
    writers = SaveLeases(clock=lambda: now)
    first, second = object(), object()
    wanted = ("o", "d", "j")
    assert writers.acquire(first, wanted)
    now += LEASE_SECONDS - 1
    assert not writers.acquire(second, wanted)
    now += 2
    assert writers.acquire(second, wanted)
    assert not writers.acquire(first, wanted)
    assert writers.acquire(first, ("another owner", "d", "j"))


def test_number_of_save_leases_is_limited() -> None:
    writers = SaveLeases(clock=lambda: 0.0)
    page = object()
    for number in range(MAX_LEASES + 50):
        assert writers.acquire(page, ("o", "d", str(number)))
    assert len(writers._leases) == MAX_LEASES
    writers.release(page)
    assert not writers._leases
