"""Costs of jobs: formatted prices, tables, and numbers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from client.conftest import Kernel

from jupyter_bgstream.client import costs, submit
from jupyter_bgstream.client import job as find
from jupyter_bgstream.client.costs import Costs, usd
from jupyter_bgstream.client.job_table import table
from jupyter_bgstream.core.costs import Cost, CostRow
from jupyter_bgstream.core.schemas.jobs import JobInfo
from jupyter_bgstream.testing import ThreadedProvider
from jupyter_bgstream.testing.scripts import DONE, Script, Send, chunk

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/costs.json").read_text())["cases"]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["words"])
def test_price_format_equals_golden_case(case: dict[str, float]) -> None:
    assert usd(case["usd"], estimated=bool(case["estimated"])) == case["words"]


def test_costs_table_has_plain_text_and_html() -> None:
    rows = [
        CostRow(key="<b>", jobs=1200, input_tokens=5_000, output_tokens=None, usd=1.5, estimated=True),
        CostRow(key=None, jobs=1, input_tokens=None, output_tokens=7, usd=None, estimated=False),
    ]
    shown = Costs(rows, "thread").bundle()
    assert shown["text/plain"].split("\n") == [
        "thread        jobs  tokens in  tokens out     cost",
        "<b>          1,200      5,000              ≈ $1.50",
        "(no thread)      1                      7  unknown",
    ]
    assert '<td style="text-align: left">&lt;b&gt;</td>' in shown["text/html"]
    assert '<td style="text-align: right">≈ $1.50</td>' in shown["text/html"]
    assert repr(Costs([], "day")) == "No costs yet."


def test_job_table_has_cost() -> None:
    form = JobInfo(
        id="0123456789", status="completed", model="a/b", title="Why?", cursor="", created_at=1.0,
        usage={"output_tokens": 1200}, cost=Cost(usd=0.0012, estimated=True),
    )  # fmt: skip
    heading, row = table([form], 2.0)["text/plain"].split("\n")
    assert heading.split() == ["id", "status", "model", "prompt", "time", "tokens", "cost"]
    assert row.endswith("1,200  ≈ $0.0012")


@pytest.mark.usefixtures("script")
def test_job_handle_has_sources_tool_calls_and_cost(provider: ThreadedProvider) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "look_up", "arguments": "{}"}}
    pieces = (
        chunk({"content": "Blue."}, citations=["https://example.org"]),
        chunk({"tool_calls": [call]}),
        chunk(finish_reason="tool_calls"),
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.25}),
        DONE,
    )
    provider.scripts["parts"] = Script(steps=tuple(map(Send, pieces)))
    asked = submit("Hello", model="test/parts")
    assert asked.wait(60).finish_reason == "tool_calls"
    assert [source.url for source in asked.sources] == ["https://example.org"]
    assert [(tool.name, tool.arguments) for tool in asked.tool_calls] == [("look_up", "{}")]
    assert asked.cost == find(asked.id).cost == Cost(usd=0.25)
    assert repr(find(asked.id)).endswith("completed $0.25>")


@pytest.mark.usefixtures("script")
def test_costs_are_read_from_server() -> None:
    mine = submit("Hello", model="test/hello", thread="a thread that cost something").wait(30)
    assert mine.cost is None  # a server of this machine
    assert mine.usage is not None
    assert mine.usage["output_tokens"] == 2
    now = datetime.now()
    (row,) = [row for row in costs("thread", since=now - timedelta(hours=1)) if row.key == mine.thread]
    assert (row.jobs, row.input_tokens, row.output_tokens, row.usd) == (1, 3, 2, None)
    assert costs()[0].key == f"{now:%Y-%m-%d}"
    assert costs("model", until=900.0) == []


def test_costs_magic_shows_table(kernel: Kernel) -> None:
    kernel.run("%%bg test/hello --name said\nx")
    assert kernel.ask("said.wait(60).cost") == "None"
    by_model = kernel.run("%bg costs model").bundles[0]["text/plain"]
    assert by_model.split("\n")[0].split() == ["model", "jobs", "tokens", "in", "tokens", "out", "cost"]
    assert "test/hello" in by_model
    assert kernel.run("%bg costs").bundles[0]["text/plain"].startswith("day ")
    assert (
        "Unknown argument 'hour' of %bg costs. Use one of day, model, thread, notebook, batch, submitted_by."
        in kernel.run("%bg costs hour").error
    )
