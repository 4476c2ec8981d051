"""``jupyter bgstream fill`` and nbconvert's preprocessor bring answers in files up to date and change nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from cli.conftest import Home
from cli.saved_outputs import data_of, key, save, shown_in
from client.test_embedding import PNG
from harness.jupyter import Jupyter, jupyter
from store.factories import HERE, append, running, text_deltas

from jupyter_bgstream.cli.fill.outputs import job_outputs
from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.core.events import Completed, Image
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing import ScriptedProvider, ThreadedProvider, answer

OWNER = "local"


MISSING = f"Picture 1, PNG, {len(PNG)} bytes, is not in this file yet."
IMAGE = f"Picture 1, PNG, {len(PNG)} bytes\n\n![Picture 1](data:image/png;base64,{b64encode(PNG).decode()})"


async def stored(home: Home) -> SQLiteStore:
    store = SQLiteStore(home.database, server=HERE)
    await store.open()
    done = await running(store, "job-done", owner=OWNER)
    await append(store, done, text_deltas("It is ", "<b>done</b>."))
    await store.end(OWNER, done.id, Completed(at=50.0, finish_reason="length"))
    half = await running(store, "job-half", owner=OWNER)
    await append(store, half, text_deltas("Half"))
    spec = BatchSpec(id="batch-0001", total=3, title="Reviews")
    await store.submit_batch(Batch(spec=spec, owner=OWNER, total=3, created_at=1.0), [], max_queued=10)
    return store


async def test_fill_reads_database_without_server(home: Home) -> None:
    store = await stored(home)
    cursors = [str((await store.job(OWNER, name)).cursor) for name in ("job-done", "job-half")]
    await store.close()
    old = data_of(BUNDLE_MIME, key("job-gone-old", status="completed"), "It was.")
    path = save(
        home.folder / "x.ipynb",
        *(data_of(BUNDLE_MIME, key(name)) for name in ("job-done", "job-half", "job-gone")),
        old,
        data_of(BATCH_MIME, {"id": "batch-0001"}),
    )
    save(home.folder / "plain.ipynb")
    before = path.read_bytes()

    stale = home.run("fill", "--check", "x.ipynb", "plain.ipynb")
    assert (stale.returncode, path.read_bytes()) == (1, before)
    assert (
        stale.stdout.splitlines()[0] == "x.ipynb: 2 answers and 1 batch not up to date, 2 still running, 1 not found."
    )

    done = home.run("fill", "x.ipynb", "plain.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "x.ipynb: 2 answers and 1 batch updated, 2 still running, 1 not found.",
        "  not found, the saved text stays: job-gone",
        "plain.ipynb: no answers in it.",
    ]
    first, half, gone, there, batch = shown_in(path)
    assert batch["text/plain"] == "Reviews: 0 of 3 answered, queued…"
    assert first == {
        BUNDLE_MIME: key("job-done", status="completed", cursor=cursors[0]),
        "text/markdown": "It is &lt;b>done&lt;/b>.\n\n*The answer was cut off at the limit of tokens.*",
        "text/plain": "It is <b>done</b>.\n\nThe answer was cut off at the limit of tokens. (job job-done)",
    }
    assert half[BUNDLE_MIME] == key("job-half", status="running", cursor=cursors[1])
    assert (gone["text/plain"], there["text/plain"]) == ("Queued…", "It was.")
    # Nothing else has changed.
    after = nbformat.read(path, as_version=4)
    for data, saved in zip(job_outputs(after), job_outputs(json.loads(before)), strict=True):
        data.clear()
        data.update(nbformat.from_dict({name: "".join(v) if isinstance(v, list) else v for name, v in saved.items()}))
    assert nbformat.writes(after) + "\n" == before.decode()

    stamp = path.stat().st_mtime_ns
    again = home.run("fill", "--check", "x.ipynb")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "x.ipynb: 2 still running, 1 not found.")
    home.run("fill", "x.ipynb")
    assert path.stat().st_mtime_ns == stamp
    waited = home.run("fill", "--wait", "0", "x.ipynb")
    assert waited.returncode == 1
    assert "No server answers" in waited.stderr


async def test_fill_reads_images_from_database(home: Home) -> None:
    store = SQLiteStore(home.database, server=HERE)
    await store.open()
    job = await running(store, "job-drawn", owner=OWNER)
    drawn = Image(id="1-1", media_type="image/png", bytes=len(PNG))
    large = Image(id="1-2", media_type="image/png", bytes=2**20 + 1)
    events = [*text_deltas("Here."), drawn, large]
    await append(store, job, events, files={"1-1": PNG, "1-2": PNG.ljust(2**20 + 1)})
    ended, _ = await store.end(OWNER, job.id, Completed(at=50.0, finish_reason="stop"))
    await store.close()
    # The second output was saved with the answer, but without its image.
    lacking = data_of(
        BUNDLE_MIME, key("job-drawn", status="completed", cursor=str(ended.cursor)), f"Here.\n\n{MISSING}"
    )
    path = save(home.folder / "x.ipynb", data_of(BUNDLE_MIME, key("job-drawn")), lacking)
    done = home.run("fill", "x.ipynb")
    assert done.stdout == "x.ipynb: 2 answers updated.\n", done.stderr
    for data in shown_in(path):
        assert data["text/markdown"].startswith(f"Here.\n\n{IMAGE}\n\nPicture 2, PNG, 1.0 MB, is not in this file")
        assert data["text/plain"] == "Here."
    assert home.run("fill", "--check", "x.ipynb").stdout == "x.ipynb: up to date.\n"


def test_invalid_files_are_reported_and_others_are_filled(home: Home) -> None:
    home.write("text.ipynb", "# no notebook")
    home.write("list.ipynb", [])
    home.write("old.ipynb", {"nbformat": 3, "worksheets": []})
    home.write("empty.ipynb", {"nbformat": 4})
    (home.folder / "image.ipynb").write_bytes(b"\x89PNG")
    save(home.folder / "good.ipynb")
    names = ["text", "list", "old", "empty", "image", "good", "missing"]
    done = home.run("fill", *(f"{name}.ipynb" for name in names), "config")
    assert (done.returncode, done.stdout) == (1, "good.ipynb: no answers in it.\n")
    said = dict(line.split(": ", 1) for line in done.stderr.splitlines())
    assert said["text.ipynb"] == "this is not a notebook: line 1 is not JSON."
    assert said["list.ipynb"] == "this is not a notebook: it has no nbformat."
    assert said["old.ipynb"].startswith("it has the old format 3;")
    assert said["empty.ipynb"] == "this is not a notebook: it has no cells."
    assert said["image.ipynb"] == "this is not a notebook: it is not text."
    assert said["missing.ipynb"] == "there is no such file."
    assert said["config"].startswith("this is a folder")


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems take no such name.")
def test_undecodable_file_name_is_escaped(home: Home) -> None:
    path = save(home.folder / "x.ipynb").rename(home.folder / os.fsdecode(b"\xff\x1b[2J.ipynb"))
    done = home.run("fill", path.name)
    assert (done.returncode, done.stdout) == (0, "\\udcff\\x1b[2J.ipynb: no answers in it.\n")


def test_missing_server_and_database_are_reported(home: Home) -> None:
    path = save(home.folder / "x.ipynb", data_of(BUNDLE_MIME, key("job-0001")))
    before = path.read_bytes()
    done = home.run("fill", "x.ipynb")
    assert (done.returncode, done.stdout, path.read_bytes()) == (1, "", before)
    assert "There is no database" in done.stderr
    assert "No Jupyter server" in done.stderr
    assert not home.database.exists()


@pytest.fixture(scope="module")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider({"hello": answer("Hello, world")}).in_thread() as provider:
        yield provider


@pytest.fixture(scope="module")
def server(provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    settings = {"store": "temporary", "providers": {"test": {"base_url": provider.base_url}}}
    with jupyter(tmp_path_factory.mktemp("server"), config={"BgStreamApp": settings}) as server:
        yield server


def ask(server: Jupyter, model: str, **more: Any) -> str:
    with server.client() as client:
        return str(client.post("jobs", json={"model": model, "prompt": "x", **more}).raise_for_status().json()["id"])


def ended(server: Jupyter, job_id: str) -> None:
    with server.client() as client:
        while client.get(f"jobs/{job_id}/events", params={"live": "long-poll", "offset": "now"}).status_code != 204:
            if client.head(f"jobs/{job_id}/events").headers.get("Stream-Closed"):
                return


def test_fill_queries_server_waits_and_follows_retries(home: Home, server: Jupyter, provider: ThreadedProvider) -> None:
    env = {"JUPYTER_RUNTIME_DIR": str(server.runtime)}
    provider.scripts["held"] = answer("one two", hold_after=1)
    held, first = ask(server, "test/held"), ask(server, "test/hello")
    provider.held()
    ended(server, first)
    with server.client() as client:
        newest = client.post(f"jobs/{first}/retry").raise_for_status().json()["id"]
        body = {"id": "batch-0001", "total": 2, "title": "Reviews"}
        jobs = [{"id": f"row-{n:06}", "model": "test/hello", "prompt": "x"} for n in range(2)]
        client.post("batches", json=body | {"jobs": jobs}).raise_for_status()
        for job in (newest, *(job["id"] for job in jobs)):
            ended(server, job)
    path = save(
        home.folder / "x.ipynb",
        data_of(BUNDLE_MIME, key(first, status="completed", model="test/hello"), "Before."),
        data_of(JOBS_MIME, {"jobs": [key(held, model="test/held"), key(newest, model="test/hello")]}),
        data_of(BATCH_MIME, {"id": "batch-0001", "status": "queued", "title": "Reviews", "total": 2, "counts": {}}),
        data_of(BUNDLE_MIME, key("../status, or so")),
        data_of(BATCH_MIME, {"id": "\x1b]0;../status"}),
        data_of(BATCH_MIME, {"id": "z-HALF"}),
        data_of(BATCH_MIME, {"id": "z" * 100_000}),
    )
    path.write_text(path.read_text().replace("z-HALF", "z\\ud800"))  # nbformat cannot write it
    unknown = f"  not found, the saved text stays: \\x1b]0;../status, ../status, or so, {'z' * 70}, z\\ud800\n"
    done = home.run("fill", "x.ipynb", **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("x.ipynb: 2 answers and 1 batch updated, 1 still running, 4 not found.\n" + unknown)
    one, several, batch, *_ = shown_in(path)
    assert (one[BUNDLE_MIME]["id"], one["text/plain"]) == (newest, "Hello, world")
    assert several["text/markdown"] == "#### test/held\n\none \n\n*Running…*\n\n#### test/hello\n\nHello, world"
    assert batch["text/plain"] == "Reviews: 2 of 2 answered"
    assert home.run("fill", "--wait", "0.01", "x.ipynb", **env).returncode == 1
    provider.release()
    waited = home.run("fill", "--wait", "30", "x.ipynb", **env)
    assert (waited.returncode, waited.stdout) == (0, "x.ipynb: 1 answer updated, 4 not found.\n" + unknown)
    assert shown_in(path)[1]["text/plain"] == "test/held:\n\none two\n\ntest/hello:\n\nHello, world"


def test_nbconvert_shows_answers_completed_after_save(home: Home, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["drawn"] = answer("", images=[PNG])
    job, drawn = ask(server, "test/hello"), ask(server, "test/drawn")
    ended(server, job)
    ended(server, drawn)
    unknown = data_of(BUNDLE_MIME, key("job-unknown"), "What was saved.")
    path = save(home.folder / "x.ipynb", data_of(BUNDLE_MIME, key(job)), data_of(BUNDLE_MIME, key(drawn)), unknown)
    before = path.read_bytes()
    preprocessor = "--Exporter.preprocessors=jupyter_bgstream.nbconvert.Fill"
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--stdout", "--to", "html", preprocessor, "--Fill.wait=1", path],
        env=os.environ | {"HOME": str(home.folder), "JUPYTER_RUNTIME_DIR": str(server.runtime)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Hello, world" in done.stdout
    assert "What was saved." in done.stdout
    assert f'<img alt="Picture 1" src="data:image/png;base64,{b64encode(PNG).decode()}"' in done.stdout
    assert "job-unknown" in done.stderr
    assert path.read_bytes() == before
