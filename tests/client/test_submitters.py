"""The submitter of a job in a kernel: tables, handles, filters, costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from client.conftest import Kernel, settings
from harness.jupyter import Jupyter
from harness.people import ask, server_of_people, until_ended

from jupyter_bgstream.client.costs import Costs
from jupyter_bgstream.client.job_table import table
from jupyter_bgstream.client.magics.show import details
from jupyter_bgstream.core.costs import CostRow
from jupyter_bgstream.core.schemas.jobs import JobDetail, JobInfo
from jupyter_bgstream.testing import ThreadedProvider

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/people.json").read_text())["cases"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    with server_of_people(tmp_path_factory.mktemp("people"), settings(provider)) as server:
        yield server


@pytest.fixture
def kernel(people: Jupyter) -> Iterator[Kernel]:
    with closing(Kernel(people)) as kernel:
        kernel.run("%load_ext jupyter_bgstream")
        kernel.run("import jupyter_bgstream as bg")
        yield kernel


def form(**fields: str | None) -> JobInfo:
    return JobInfo(id="0123456789", status="queued", model="a/b", title="Why?", cursor="", created_at=1.0, **fields)


def test_kernel_sees_submitters_and_submits_without_name(people: Jupyter, kernel: Kernel) -> None:
    job = ask(people, "ada", "POST", "jobs", json={"prompt": "Of ada", "thread": "shared"})["id"]
    until_ended(people, job)
    kernel.run("%%bg --thread shared --name own\nOf a kernel")
    assert kernel.ask("own.wait(60).submitted_by") == "None"
    assert kernel.ask(f"bg.job({job!r}).submitted_by") == "'ada'"
    assert kernel.ask("[job.title for job in bg.jobs(submitted_by='ada')]") == "['Of ada']"
    assert kernel.ask("len(bg.jobs(submitted_by='bob'))") == "0"
    heading, own, adas = kernel.run("%bg list --thread shared").bundles[0]["text/plain"].splitlines()
    assert heading.split() == ["id", "status", "model", "prompt", "by", "time", "tokens", "cost"]
    assert "  ada  " in adas
    assert "ada" not in own
    assert "submitted by  ada" in kernel.run(f"%bg show {job}").bundles[0]["text/plain"]
    assert kernel.ask("{row.key: row.jobs for row in bg.costs('submitted_by')}") in (
        "{'ada': 1, None: 1}",
        "{None: 1, 'ada': 1}",
    )
    assert "ada" in kernel.run("%bg costs submitted_by").bundles[0]["text/plain"]
    again = kernel.ask(f"bg.job({job!r}).retry().wait(30).submitted_by")
    assert again == "None"


def test_table_has_submitter_column_only_if_any_is_known() -> None:
    assert " by " not in table([form(), form(submitted_by=None)], 2.0)["text/plain"]
    shown = table([form(), form(submitted_by=HOSTILE), form(submitted_by="x" * 200)], 2.0)
    heading, nobody, hostile, long = shown["text/plain"].splitlines()
    assert heading.split() == ["id", "status", "model", "prompt", "by", "time", "tokens", "cost"]
    assert nobody.split() == ["01234567", "Queued", "a/b", "Why?"]
    assert hostile.endswith("  <img src=x onerror=aler…")
    assert long.endswith("  " + "x" * 23 + "…")
    assert "&lt;img src=x" in shown["text/html"]
    assert "<img" not in shown["text/html"]


@pytest.mark.parametrize("case", [each for each in GOLDEN if each["viewer"] is None], ids=lambda case: case["name"])
def test_submitter_column_follows_same_rule_as_page(case: dict[str, Any]) -> None:
    """Use only the cases without a viewer, because a kernel has no name of its own."""
    shown = table([form(submitted_by=name) for name in case["submitted_by"]], 2.0)["text/plain"]
    assert (" by " in shown.splitlines()[0]) == case["named"]


def test_details_show_submitter_as_text() -> None:
    job = JobDetail(id="j", status="queued", model="a/b", title="", cursor="", created_at=1.0, submitted_by=HOSTILE)
    shown = details(job, 2.0)
    assert f"submitted by  {HOSTILE}" in shown["text/plain"]
    assert "<img" not in shown["text/html"]


def test_details_shorten_long_messages() -> None:
    job = JobDetail(id="j", status="queued", model="a/b", title="", cursor="", created_at=1.0)
    long = [{"role": "system", "content": "s" * 6000}, {"role": "user", "content": "Why?"}]
    shown = details(msgspec.structs.replace(job, messages=long), 2.0)
    for text in shown.values():
        assert "s" * 5000 + "… (1,000 more characters)" in text
        assert "Why?" in text
    many = [{"role": "user", "content": "x" * 1000}] * 200
    for text in details(msgspec.structs.replace(job, messages=many), 2.0).values():
        assert "(100 more messages)" in text
        assert len(text) < 30_000


def test_costs_without_submitter_are_labelled() -> None:
    spent = CostRow(key=None, jobs=1, input_tokens=1, output_tokens=1, usd=0.5, estimated=False)
    assert repr(Costs([spent], "submitted_by")).splitlines()[1].split()[:2] == ["(no", "name)"]
