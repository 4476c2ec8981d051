"""Saved answers that are exported and opened: they run nothing and load nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exports.exporting import Exports, opened
from playwright.async_api import Browser

from jupyter_bgstream.core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.testing.scripts import JSON, Script, Send, answer, chunk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CASES = json.loads((Path(__file__).parents[1] / "golden" / "attacks.json").read_text())["cases"]
HOSTILE = {path.stem: path.read_text() for path in (Path(__file__).parents[1] / "browser" / "hostile").glob("*.md")}
ATTACKS = {case["name"]: case["markdown"] for case in CASES} | HOSTILE
TEMPLATES = [("html", "lab"), ("html", "classic"), ("slides", "reveal")]


@pytest.fixture(scope="session")
def saved(exports: Exports, folder: Path) -> Path:
    """Every attack as an answer of its own, as a source and as an error; all answers side by side; and a batch."""
    keys = [exports.asked(text) for text in ATTACKS.values()]
    failed = [exports.asked(refusing(text)) for text in ATTACKS.values()]
    cited = exports.asked(citing([(f"https://a.example/{text}", text) for text in ATTACKS.values()]))
    outputs = [{BUNDLE_MIME: key} for key in (*keys, *failed, cited)]
    outputs.append({JOBS_MIME: {"jobs": keys}})
    outputs.append({BATCH_MIME: exports.batch(ATTACKS["tags"][:80])})
    return exports.filled(folder / "attacks.ipynb", outputs)


def refusing(message: str) -> Script:
    return Script(status=400, headers=JSON, steps=(Send(json.dumps({"error": {"message": message}}).encode()),))


def citing(sources: list[tuple[str, str]]) -> Script:
    found = [{"type": "url_citation", "url_citation": {"url": url, "title": title}} for url, title in sources]
    return Script(steps=(Send(chunk({"content": "So.", "annotations": found})), *answer("").steps))


@pytest.mark.parametrize(("to", "template"), TEMPLATES, ids=[template for _, template in TEMPLATES])
async def test_exported_answers_run_and_load_nothing(
    exports: Exports, saved: Path, browser: Browser, to: str, template: str
) -> None:
    page = exports.exported(saved, to, template)
    assert all(words in page.read_text() for words in ("Sources:", "Failed:", "1 of 1 answered", "test/s1<"))
    found = await opened(browser, page)
    assert found.wrong == []
    assert found.seen > len(ATTACKS)
