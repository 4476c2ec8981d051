"""``fill`` writes the outputs that a page would save, and changes nothing else in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from cli.saved_outputs import data_of, key, save, shown_in
from client.test_bundle import answered, files

from jupyter_bgstream.cli.fill.notebook_file import read_notebook, replace_notebook
from jupyter_bgstream.cli.fill.outputs import Known, has_ended, job_outputs, refreshed, write
from jupyter_bgstream.client.executed_notebooks import NOT_WAITED_FOR, REST_NOT_WAITED_FOR
from jupyter_bgstream.core.batches import EndCounts
from jupyter_bgstream.core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.core.state import Answer, ErrorInfo
from jupyter_bgstream.outputs.batch import BatchOutput
from jupyter_bgstream.outputs.mimebundle import OutputSnapshot

GOLDEN = Path(__file__).parents[1] / "golden"


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in json.loads((GOLDEN / name).read_text())["cases"]]


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
