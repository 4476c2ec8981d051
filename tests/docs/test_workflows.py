"""Workflows of GitHub: pinned actions, least permissions, and the same folders and versions as ``tests/check.sh``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_hash_and_named_by_version(path: Path) -> None:
    uses = re.findall(r"uses: (.*)", path.read_text())
    assert uses
    assert [line for line in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_a_time_limit_and_permissions_of_its_own(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {}
    assert "group" in workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert "write-all" not in job["permissions"]
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_one_hash_for_each_action() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in re.findall(r"uses: (\S+)@(.*)", path.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_other_systems_run_the_unit_tests_on_each_python() -> None:
    job = loaded(ROOT / ".github/workflows/checks.yml")["jobs"]["other-systems"]
    (command,) = (step["run"] for step in job["steps"] if "pytest" in step.get("run", ""))
    script = (ROOT / "tests/check.sh").read_text()
    unit, store = (re.findall(rf"^{name}=\((.*?)\)", script, re.M)[0].split() for name in ("UNIT", "STORE"))
    assert re.findall(r" (tests/\w+)(?= |$)", command) == unit + store
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [match[1] for each in project["classifiers"] if (match := re.search(r"Python :: (3\.\d+)$", each))]
    assert job["strategy"]["matrix"]["python"] == versions


def test_release_runs_on_a_tag_only_and_publishes_without_a_token() -> None:
    workflow = loaded(ROOT / ".github/workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads "on" as True
    publish = workflow["jobs"]["publish"]
    assert publish["environment"] == "pypi"
    assert publish["permissions"] == {"id-token": "write", "attestations": "write"}
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
