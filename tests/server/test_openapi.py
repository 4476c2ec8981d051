"""The description of the API is the API: compared with its routes and its answers, then tried by schemathesis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from harness.jupyter import jupyter
from server.conftest import config_for
from server.test_matrix import EXPECTED, registered

from jupyter_bgstream.core.batches import Batch, BatchItem, BatchSpec, Progress
from jupyter_bgstream.core.codec import group_form, job_form, job_with_answer, notice_form, placed_form
from jupyter_bgstream.core.job import Job, JobSource, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Notice
from jupyter_bgstream.core.state import Answer
from jupyter_bgstream.core.threads import Thread
from jupyter_bgstream.server import answers
from jupyter_bgstream.server.base import NotFoundHandler, verbs
from jupyter_bgstream.server.openapi import OPERATIONS, described, path_of
from jupyter_bgstream.testing.script import answer, refusal
from jupyter_bgstream.testing.scripted import ThreadedProvider

SETTINGS = Path(__file__).parent / "schemathesis.toml"
ROUTES = [
    (pattern.removeprefix("/api/bgstream/").removesuffix("/?"), handler)
    for pattern, handler in registered()
    if handler is not NotFoundHandler
]
DESCRIPTION = described(ROUTES, "/")


def test_every_verb_of_every_route_is_described_and_no_other() -> None:
    assert {f"{verb} {path_of(pattern)}" for pattern, handler in ROUTES for verb in verbs(handler)} == set(OPERATIONS)
    for path, operations in DESCRIPTION["paths"].items():
        for operation in operations.values():
            assert operation["summary"].endswith("."), path


def test_every_answer_of_the_matrix_is_described() -> None:
    for (verb, path), by_caller in EXPECTED.items():
        if path == "nowhere" or 405 in by_caller.values():
            continue
        name = "/" + path_of(re.sub(r"{\w+}", "(.)", path))
        responses = DESCRIPTION["paths"][name][verb.lower()]["responses"]
        assert set(map(str, by_caller.values())) <= set(responses), (verb, path)


def test_its_schemas_are_schemas() -> None:
    for schema in DESCRIPTION["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    resolved = str(DESCRIPTION)
    for reference in {part.split("'")[0] for part in resolved.split("#/components/schemas/")[1:]}:
        assert reference in DESCRIPTION["components"]["schemas"]


JOB = Job(
    id="some-job-id",
    owner="local",
    log="00000000",
    spec=JobSpec(model="a/b", messages=(Message(role="user", content="x"),)),
    status="queued",
    server="here",
    created_at=1.0,
)
NOTICE = Notice(id="n", job="some-job-id", owner="local", status="failed", title="", source=JobSource(), created_at=1.0)
THREAD = Thread(name="t", jobs=1, status="queued", model="a/b", title="", created_at=1.0, updated_at=1.0)
GROUP = Batch(spec=BatchSpec(id="some-group", total=2), owner="local", total=2, created_at=1.0)


@pytest.mark.parametrize(
    ("form", "type_"),
    [
        (job_form(JOB), answers.JobInfo),
        (job_with_answer(JOB, Answer()), answers.JobWithAnswer),
        (notice_form(NOTICE), answers.NoticeInfo),
        (group_form(Progress(group=GROUP, running=1, waiting=1)), answers.BatchInfo),
        (placed_form(BatchItem(job=JOB, text=None)), answers.BatchItem),
        (msgspec.structs.asdict(THREAD), answers.ThreadInfo),
    ],
)
def test_an_answer_has_the_fields_that_are_described_and_no_other(form: dict[str, Any], type_: type) -> None:
    assert set(form) == {field.name for field in msgspec.structs.fields(type_)}
    msgspec.convert(msgspec.json.decode(msgspec.json.encode(form)), type_)


def test_schemathesis_finds_nothing(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["whole"] = answer("Grüezi, world", reasoning="Hm.", usage=(3, 7))
    provider.scripts["refused"] = refusal(400, {"error": {"message": "No."}})
    config = config_for(provider, default_model="demo/whole")
    with jupyter(tmp_path, config=config) as server:
        command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={SETTINGS}", "run"]
        result = subprocess.run(
            [*command, f"{server.api}openapi.json", f"--header=Authorization: Bearer {server.token}"],
            cwd=tmp_path,
            env=os.environ | {"NO_PROXY": "*", "PYTHONWARNINGS": "default"},
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2000:]
        assert not [line for line in server.log if "Traceback" in line or " 500 " in line]
