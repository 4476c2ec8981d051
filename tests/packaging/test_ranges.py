"""The shared modules that the labextension requires: those of the lowest declared JupyterLab."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "jupyter_bgstream" / "labextension" / "static"
SHARED = re.compile(r'shareKey:\s*"(@jupyterlab/[\w-]+)",\s*import:\s*null,\s*requiredVersion:\s*"([^"]+)"')


def package(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "labextension" / name).read_text())
    return content


def test_bundle_requires_ranges_of_package_json() -> None:
    (entry,) = BUNDLE.glob("remoteEntry.*.js")
    asked = dict(SHARED.findall(entry.read_text()))
    assert "@jupyterlab/application" in asked
    declared = package("package.json")["dependencies"]
    assert asked == {name: declared[name] for name in asked}


def test_lock_file_pins_lowest_jupyterlab() -> None:
    declared = package("package.json")["dependencies"]
    locked = package("package-lock.json")["packages"]
    for name, wanted in declared.items():
        if name.startswith("@jupyterlab/"):
            assert wanted == f"^{locked[f'node_modules/{name}']['version']}"


def test_application_range_is_lower_bound_of_jupyterlab() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = (it for it in project["optional-dependencies"]["lab"] if it.startswith("jupyterlab"))
    major, minor = re.findall(r">=(\d+)\.(\d+)", bound)[0]
    assert package("package.json")["dependencies"]["@jupyterlab/application"] == f"^{major}.{minor}.0"
