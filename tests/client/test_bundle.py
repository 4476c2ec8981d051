"""MIME bundles of answers: text, sources and the reason of the end, with untrusted text escaped."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from jupyter_bgstream.core.codec import JOBS_MIME
from jupyter_bgstream.core.events import Citation, Image
from jupyter_bgstream.core.state import Answer, ErrorInfo
from jupyter_bgstream.outputs.citations import sources_markdown
from jupyter_bgstream.outputs.mimebundle import OutputSnapshot, bundle, bundle_of_several

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "bundle.json").read_text())["cases"]
SEVERAL = json.loads((GOLDEN / "jobs.json").read_text())["cases"]

PIECES = st.sampled_from(
    [
        "<x-bad>",
        "](",
        ")",
        "[",
        "javascript:",
        "https://",
        "example.org",
        "<",
        ">",
        "`",
        "\\",
        "\n",
        "\n\n",
        " ",
        "    ",
        "|",
        "$",
        "$$",
        "*",
        "_",
        "![",
        "&lt;",
        "&",
        '"',
        "#",
        "- ",
        "1. ",
        "~~~",
        "a",
        "\x00",
        "\u2028",
        "\u202e",
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def answered(case: dict[str, Any]) -> Answer:
    return Answer(
        status=case.get("status", "completed"),
        text=case["text"],
        sources=tuple(Citation(**source) for source in case["sources"]),
        finish_reason=case["finish_reason"],
        error=ErrorInfo(**case["error"]) if case.get("error") else None,
        images=tuple(Image(**image) for image in case.get("images", ())),
    )


def files(case: dict[str, Any]) -> dict[str, bytes]:
    return {name: b64decode(data) for name, data in case.get("files", {}).items()}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_bundle_equals_golden_case(case: dict[str, Any]) -> None:
    shown = bundle(OutputSnapshot("j1", "p/m", "c", answered(case), files(case)))
    assert (shown["text/markdown"], shown["text/plain"]) == (case["markdown"], case["plain"])


@pytest.mark.parametrize("case", SEVERAL, ids=[case["name"] for case in SEVERAL])
def test_side_by_side_bundle_equals_golden_case(case: dict[str, Any]) -> None:
    jobs = [
        OutputSnapshot(f"j{number}", job["model"], "c", answered(job), files(job))
        for number, job in enumerate(case["jobs"], 1)
    ]
    shown = bundle_of_several(jobs)
    assert (shown["text/markdown"], shown["text/plain"]) == (case["markdown"], case["plain"])
    assert [tuple(key.values()) for key in shown[JOBS_MIME]["jobs"]] == [
        (job.id, "c", job.answer.status, job.model) for job in jobs
    ]


def by_nbconvert(text: str) -> str:
    return str(MarkdownWithMath(renderer=IPythonRenderer(escape=False))(text))


def by_mistune(text: str) -> str:
    return str(mistune.create_markdown(escape=False)(text))


@given(st.lists(st.builds(Citation, url=st.sampled_from(["", "https://e.org/"]).flatmap(
    lambda start: TEXTS.map(start.__add__)), title=TEXTS), min_size=1, max_size=3))  # fmt: skip
def test_sources_become_list_of_web_links_only(sources: list[Citation]) -> None:
    for parser in (by_nbconvert, by_mistune):
        html = parser(sources_markdown(sources))
        assert set(re.findall(r"<([a-z][a-z-]*)", html)) <= {"p", "ol", "li", "a"}, html
        assert html.count("<li>") == len(sources), html
        assert all(re.match("https?://", href, re.IGNORECASE) for href in re.findall(r'href="([^"]*)"', html)), html


def test_long_source_title_is_shortened() -> None:
    (line,) = sources_markdown([Citation(url="https://example.org", title="word " * 100_000)]).splitlines()[2:]
    assert len(line) < 240


def test_unended_answer_has_given_note() -> None:
    note = "Not waited for yet. To fill in the answer: jupyter bgstream fill FILE"
    running = OutputSnapshot("job-0001", "test/one", "-1", Answer(status="running", text="half "))
    failed = OutputSnapshot(
        "job-0002", "test/two", "-1", Answer(status="failed", error=ErrorInfo(code="internal", message="It broke."))
    )
    waiting = OutputSnapshot(
        "job-0003", "test/three", "-1", Answer(status="waiting", error=ErrorInfo(code="internal", message="Later."))
    )
    assert bundle(running, unended=note)["text/markdown"] == f"half \n\n*{note}*"
    assert bundle(waiting, unended=note)["text/plain"] == f"{note} (job job-0003)"
    several = bundle_of_several([running, failed], unended=note)["text/plain"]
    assert several == f"test/one:\n\nhalf \n\n{note} (job job-0001)\n\ntest/two:\n\nFailed: It broke. (job job-0002)"
