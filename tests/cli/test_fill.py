"""``jupyter bgstream fill`` and nbconvert's preprocessor bring answers in files up to date and change nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from cli.conftest import Home
from client.test_bundle import answered, files
from client.test_embedding import PNG
from harness.jupyter import Jupyter, jupyter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from store.factories import HERE, append, running, text_deltas

from jupyter_bgstream.cli.fill.notebook_file import read_notebook, replace_notebook
from jupyter_bgstream.cli.fill.outputs import Known, has_ended, job_outputs, refreshed, write
from jupyter_bgstream.client.executed_notebooks import NOT_WAITED_FOR, REST_NOT_WAITED_FOR
from jupyter_bgstream.core.batches import Batch, BatchSpec, EndCounts
from jupyter_bgstream.core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.core.events import Completed, Image
from jupyter_bgstream.core.state import Answer, ErrorInfo
from jupyter_bgstream.outputs.batch import BatchOutput
from jupyter_bgstream.outputs.mimebundle import OutputSnapshot
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing import ScriptedProvider, ThreadedProvider, answer

OWNER = "local"
GOLDEN = Path(__file__).parents[1] / "golden"


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((GOLDEN / name).read_text())["cases"]]


def key(job_id: str, *, status: str = "queued", model: str = "p/m", cursor: str = "-1") -> dict[str, Any]:
    return {"id": job_id, "cursor": cursor, "status": status, "model": model}


def data_of(mime: str, value: Any, text: str = "Queued…") -> dict[str, Any]:
    return {mime: value, "text/markdown": text, "text/plain": text}


def notebook_of(*outputs: dict[str, Any]) -> nbformat.NotebookNode:
    """Make a notebook with one cell for each output, and much else that must not change."""
    cells = [new_markdown_cell("Grüße 😀"), new_code_cell("1", outputs=[new_output("stream", text="a\nb")])]
    for data in outputs:
        kept = new_output("display_data", {"text/plain": "2", "image/png": "aGk="})
        shown = new_output("display_data", data, metadata={"isolated": True})
        cells.append(new_code_cell("%%bg\nx", execution_count=7, outputs=[kept, shown], metadata={"z": 1, "a": [{}]}))
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def save(path: Path, *outputs: dict[str, Any]) -> Path:
    nbformat.write(notebook_of(*outputs), path)
    return path


def shown_in(path: Path) -> list[dict[str, Any]]:
    return list(job_outputs(nbformat.read(path, as_version=4)))


# The text of outputs: the same as when a page saves.


@pytest.mark.parametrize("case", cases("bundle.json"))
def test_job_output_is_same_as_saved_by_page(case: dict[str, Any]) -> None:
    data = data_of(BUNDLE_MIME, key("j0", model="p/m"))
    fresh = refreshed(data, Known(jobs={"j0": OutputSnapshot("j1", "p/m", "c", answered(case), files(case))}))
    assert fresh is not None
    assert (fresh["text/markdown"], fresh["text/plain"]) == (case["markdown"], case["plain"])
    assert fresh[BUNDLE_MIME] == key("j1", status="completed", cursor="c")


@pytest.mark.parametrize("status", ["queued", "running", "waiting"])
def test_unended_outputs_keep_note_of_executed_notebook(status: Any) -> None:
    saved = f"half\n\n*{NOT_WAITED_FOR}*"
    now = OutputSnapshot("j0", "p/m", "c", Answer(status=status, text="half or"))
    batch = BatchOutput(id="b0", status="running", title="Rows", total=2, counts=EndCounts(completed=1))
    known = Known(jobs={"j0": now}, batches={"b0": batch})
    one = refreshed(data_of(BUNDLE_MIME, key("j0"), saved), known)
    several = refreshed(data_of(JOBS_MIME, {"jobs": [key("j0"), key("j0")]}, saved), known)
    rows = refreshed(data_of(BATCH_MIME, {"id": "b0"}, f"Rows: 0 of 2 answered, {REST_NOT_WAITED_FOR}"), known)
    assert one is not None
    assert several is not None
    assert rows is not None
    assert one["text/markdown"] == f"half or\n\n*{NOT_WAITED_FOR}*"
    assert several["text/markdown"].count(NOT_WAITED_FOR) == 2
    assert several["text/plain"].count(NOT_WAITED_FOR) == 2
    assert rows["text/plain"] == f"Rows: 1 of 2 answered, {REST_NOT_WAITED_FOR}"


@pytest.mark.parametrize("case", cases("jobs.json"))
def test_side_by_side_output_is_same_as_saved_by_page(case: dict[str, Any]) -> None:
    models = [job["model"] for job in case["jobs"]]
    now = {
        f"s{n}": OutputSnapshot(f"j{n}", job["model"], "c", answered(job), files(job))
        for n, job in enumerate(case["jobs"], 1)
    }
    data = data_of(JOBS_MIME, {"jobs": [key(f"s{n}", model=model) for n, model in enumerate(models, 1)]})
    fresh = refreshed(data, Known(jobs=now))
    assert fresh is not None
    assert (fresh["text/markdown"], fresh["text/plain"]) == (case["markdown"], case["plain"])
    write(data, fresh, lines=False)
    assert refreshed(data, Known(jobs=now)) is None
    # The saved text of an unknown job stays, if it can be separated from the others.
    if len(models) > 1 and "\n" not in models[0]:
        del now["s1"]
        data[JOBS_MIME]["jobs"] = [key(f"s{n}", model=model) for n, model in enumerate(models, 1)]
        again = refreshed(data, Known(jobs=now))
        assert again is not None
        assert (again["text/markdown"], again["text/plain"]) == (case["markdown"], case["plain"])


@pytest.mark.parametrize("case", cases("batch.json"))
def test_batch_output_is_same_as_saved_by_page(case: dict[str, Any]) -> None:
    fields = case["batch"]
    batch = msgspec.convert(fields, BatchOutput)
    fresh = refreshed(data_of(BATCH_MIME, fields | {"status": "new"}), Known(batches={fields["id"]: batch}))
    assert fresh is not None
    assert (fresh["text/markdown"], fresh["text/plain"]) == (case["markdown"], case["plain"])
    assert fresh[BATCH_MIME] == fields


def test_time_of_next_attempt_is_not_saved() -> None:
    waits = Answer(status="waiting", error=ErrorInfo(code="rate_limited", message="Busy."), not_before=1.0)
    fresh = refreshed(data_of(BUNDLE_MIME, key("j1")), Known(jobs={"j1": OutputSnapshot("j1", "p/m", "c", waits)}))
    assert fresh is not None
    assert fresh["text/markdown"] == "*Waiting…*"


# The file.


def test_private_notebook_stays_private_while_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.ipynb", data_of(BUNDLE_MIME, key("j1")))
    path.chmod(0o600)
    modes: set[int] = set()

    def seen(descriptor: int) -> None:
        modes.add(os.fstat(descriptor).st_mode & 0o777)

    monkeypatch.setattr(os, "fsync", seen)
    assert replace_notebook(path, read_notebook(path))
    assert modes == {0o600}


def test_written_file_equals_output_of_nbformat(tmp_path: Path) -> None:
    path = save(tmp_path / "x.ipynb", data_of(BUNDLE_MIME, key("j1")))
    path.chmod(0o640)
    link = tmp_path / "link.ipynb"
    link.symlink_to(path)
    notebook = read_notebook(link)
    assert notebook.encoded() == path.read_bytes()
    (data,) = job_outputs(notebook.content)
    now = Known(jobs={"j1": OutputSnapshot("j2", "p/m", "c", Answer(status="cancelled", text="Grüße\n\nund 😀"))})
    fresh = refreshed(data, now)
    assert fresh is not None
    write(data, fresh, lines=True)
    assert replace_notebook(link, notebook)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["link.ipynb", "x.ipynb"]
    by_page = nbformat.read(path, as_version=4)
    before = path.read_bytes()
    nbformat.write(by_page, path)
    assert path.read_bytes() == before
    (now_there,) = shown_in(path)
    assert now_there["text/plain"] == "Grüße\n\nund 😀\n\nCancelled (job j2)"


@pytest.mark.parametrize("form", [
    {"indent": 2}, {"indent": "\t"}, {"indent": 4, "ensure_ascii": True}, {"separators": (", ", ": ")},
])  # fmt: skip
@pytest.mark.parametrize("after", ["", "\n", "\r\n"])
def test_file_keeps_formatting_of_its_writer(tmp_path: Path, form: dict[str, Any], after: str) -> None:
    content = {"cells": [], "nbformat_minor": 5, "metadata": {"z": "ü", "a": 1}, "nbformat": 4}
    text = json.dumps(content, **{"ensure_ascii": False} | form) + "\n"
    data = text.rstrip("\n").replace("\n", after or "\n") + after
    path = tmp_path / "x.ipynb"
    path.write_bytes(data.encode())
    assert read_notebook(path).encoded() == data.encode()


OTHERS = """\
{"metadata": {"n": 1e5, "m": [0.10,1.0E+2 , -0.0], "\\u0061\\/": "\\u00e9"},
 "cells": [ {"cell_type":"code","source":[],"outputs":[
   {"output_type": "display_data", "metadata": {"x": 12345678901234567890.5}, "data": {
     "text/plain": "9007199254740993.0", "application/json": {"n": 1E400, "n": 3.50, "nan": NaN}}},
   {"output_type": "display_data", "data": DATA, "metadata": {"n": 2.50} }, {"data": 7}, null ] }, {"outputs": {}},
  7], "nbformat": 4, "nbformat_minor": 5}  \n\n"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("indent", [None, 1])
def test_only_output_itself_changes(tmp_path: Path, newline: str, indent: int | None) -> None:
    shown = json.dumps(data_of(BUNDLE_MIME, key("j1")), indent=indent)
    path = tmp_path / "x.ipynb"
    path.write_bytes(OTHERS.replace("DATA", shown).replace("\n", newline).encode())
    notebook = read_notebook(path)
    assert notebook.encoded() == path.read_bytes()
    (data,) = job_outputs(notebook.content)
    data["text/markdown"] = "New"
    changed = notebook.encoded().decode()
    before, after = (part.replace("\n", newline) for part in OTHERS.split("DATA"))
    assert changed.startswith(before)
    assert changed.endswith(after)
    assert json.loads(changed.removeprefix(before).removesuffix(after)) == data
    assert ("\n" in changed.removeprefix(before).removesuffix(after)) == (indent is not None)
    assert changed.count("\n") == changed.count(newline)


@pytest.mark.parametrize("form", [{"indent": 1, "ensure_ascii": False}, {"indent": 1}])
def test_lone_surrogate_is_written_unchanged(tmp_path: Path, form: dict[str, Any]) -> None:
    content = {"cells": [], "metadata": {"title": "HALF ü 😀"}, "nbformat": 4, "nbformat_minor": 5}
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(content, **form).replace("HALF", r"\ud83d"), "utf-8")
    assert read_notebook(path).encoded() == path.read_bytes()


@pytest.mark.parametrize("outputs", [None, 5, "text", [None, {"data": []}, {"data": {BUNDLE_MIME: []}}]])
def test_malformed_outputs_are_skipped(outputs: Any) -> None:
    shown = data_of(BUNDLE_MIME, {"id": "job-done", "status": ["no", "status"]})
    cells = [None, {"cell_type": "code", "outputs": outputs}, {"cell_type": "code", "outputs": [{"data": shown}]}]
    found = list(job_outputs({"cells": cells}))
    assert found == [shown]
    assert not has_ended(shown[BUNDLE_MIME])


def test_newer_save_is_not_overwritten(tmp_path: Path) -> None:
    path = save(tmp_path / "x.ipynb", data_of(BUNDLE_MIME, key("j1")))
    notebook = read_notebook(path)
    save(path, data_of(BUNDLE_MIME, key("j2")))
    theirs = path.read_bytes()
    assert not replace_notebook(path, notebook)
    assert path.read_bytes() == theirs
    assert list(tmp_path.iterdir()) == [path]


# The command, without a server.


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


# With a server.


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
