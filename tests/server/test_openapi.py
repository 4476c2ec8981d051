"""The OpenAPI document is compared with the routes and their responses, then checked by schemathesis."""

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
from server.schema_golden import GOLDEN, golden
from server.test_matrix import EXPECTED, registered

from jupyter_bgstream.core.batches import Batch, BatchItem, BatchSpec, Progress
from jupyter_bgstream.core.codec import encode
from jupyter_bgstream.core.job import Job, JobSource, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Notice
from jupyter_bgstream.core.schemas import convert
from jupyter_bgstream.core.schemas.jobs import JobDetail
from jupyter_bgstream.core.schemas.threads import ThreadInfo
from jupyter_bgstream.core.state import Answer
from jupyter_bgstream.server.base import NotFoundHandler, verbs
from jupyter_bgstream.server.openapi import openapi_document, path_of
from jupyter_bgstream.server.openapi_operations import OPERATIONS
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, refusal

SETTINGS = Path(__file__).parent / "schemathesis.toml"
ROUTES = [
    (pattern.removeprefix("/api/bgstream/").removesuffix("/?"), handler)
    for pattern, handler in registered()
    if handler is not NotFoundHandler
]
DOCUMENT = openapi_document(ROUTES, "/")


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"components": DOCUMENT["components"], **schema})


def test_document_has_every_verb_of_every_route() -> None:
    assert {f"{verb} {path_of(pattern)}" for pattern, handler in ROUTES for verb in verbs(handler)} == set(OPERATIONS)
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            assert operation["summary"].endswith("."), path


def test_document_has_every_status_of_matrix() -> None:
    for (verb, path), by_caller in EXPECTED.items():
        if path == "nowhere" or 405 in by_caller.values():
            continue
        name = "/" + path_of(re.sub(r"{\w+}", "(.)", path))
        responses = DOCUMENT["paths"][name][verb.lower()]["responses"]
        assert set(map(str, by_caller.values())) <= set(responses), (verb, path)


def test_schemas_are_valid_json_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    resolved = str(DOCUMENT)
    for reference in {part.split("'")[0] for part in resolved.split("#/components/schemas/")[1:]}:
        assert reference in DOCUMENT["components"]["schemas"]


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
THREAD = ThreadInfo(name="t", jobs=1, status="queued", model="a/b", title="", created_at=1.0, updated_at=1.0)
BATCH = Batch(spec=BatchSpec(id="some-batch", total=2), owner="local", total=2, created_at=1.0)


@pytest.mark.parametrize(
    "info",
    [
        convert.job_info(JOB),
        convert.job_detail(JOB, Answer()),
        convert.notice_info(NOTICE),
        convert.batch_info(Progress(batch=BATCH, running=1, waiting=1)),
        convert.batch_item_info(BatchItem(job=JOB, text=None)),
        THREAD,
    ],
    ids=lambda info: type(info).__name__,
)
def test_encoded_info_matches_its_schema_and_is_decoded_again(info: Any) -> None:
    encoded = encode(info)
    validator({"$ref": f"#/components/schemas/{type(info).__name__}"}).validate(msgspec.json.decode(encoded))
    assert msgspec.json.decode(encoded, type=type(info)) == info


def test_every_field_of_response_is_required() -> None:
    for name in ("JobInfo", "JobDetail", "BatchInfo", "NoticeInfo", "ServerStatus", "UsageInfo"):
        schema = DOCUMENT["components"]["schemas"][name]
        assert set(schema["required"]) == set(schema["properties"]), name


@pytest.mark.parametrize(
    ("part", "valid"),
    [
        ({"type": "text", "text": "x"}, True),
        ({"type": "image", "media_type": "image/png", "bytes": 1}, True),
        ({"type": "file", "media_type": "text/plain", "name": "a.txt", "bytes": 1}, True),
        ({"type": "file", "media_type": "text/plain", "bytes": 1}, False),
        ({"type": "text"}, False),
        ({"type": "video", "bytes": 1}, False),
    ],
)
def test_part_has_the_fields_of_its_type(part: dict[str, Any], valid: bool) -> None:
    assert validator({"$ref": "#/components/schemas/PartInfo"}).is_valid(part) == valid


def test_client_decodes_values_and_fields_of_newer_servers() -> None:
    newer = msgspec.json.decode(encode(convert.job_detail(JOB, Answer())))
    newer |= {"status": "parked", "priority": "urgent", "retry_policy": "sometimes", "on_restart": "ask", "unknown": 1}
    newer["messages"] = [{"role": "critic", "content": [{"type": "video", "bytes": 1, "seconds": 2}]}]
    newer["source"] |= {"window": "x"}
    job = msgspec.json.decode(encode(newer), type=JobDetail)
    assert (job.status, job.ended) == ("parked", False)
    assert job.messages == [{"role": "critic", "content": [{"type": "video", "bytes": 1}]}]


def test_client_decodes_responses_of_older_servers() -> None:
    older = {"id": "j", "status": "queued", "model": "a/b", "title": "", "cursor": "0_0_0", "created_at": 1.0}
    assert msgspec.json.decode(encode(older), type=JobDetail).messages == []


def test_golden_schema_is_current() -> None:
    assert GOLDEN.read_text() == golden(), "Run `python tests/server/schema_golden.py` and commit its result."


def test_schemathesis_finds_no_failure(tmp_path: Path, provider: ThreadedProvider) -> None:
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
            timeout=280,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2000:]
        assert not [line for line in server.log if "Traceback" in line or " 500 " in line]
