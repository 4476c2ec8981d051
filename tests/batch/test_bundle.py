"""The output of a batch in a notebook file: one line with any title."""

import json
from pathlib import Path

import msgspec
import pytest

from jupyter_bgstream.core.codec import BATCH_MIME
from jupyter_bgstream.outputs.batch import BatchOutput, batch_bundle

CASES = json.loads((Path(__file__).parents[1] / "golden/batch.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_batch_bundle_matches_golden_case(case):
    batch = case["batch"]
    shown = batch_bundle(msgspec.convert(batch, BatchOutput))
    assert shown == {BATCH_MIME: batch, "text/markdown": case["markdown"], "text/plain": case["plain"]}
