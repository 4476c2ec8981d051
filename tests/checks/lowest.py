"""Fails unless this environment has exactly the lower bounds that pyproject.toml declares."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

EXTRAS = ("lab", "keyring")

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
declared = project["dependencies"] + [each for extra in EXTRAS for each in project["optional-dependencies"][extra]]
wrong = []
for requirement in declared:
    match = re.match(r"([\w-]+)>=([\d.]+)", requirement)
    if match is None:
        wrong.append(f"{requirement} declares no lower bound.")
        continue
    name, bound = match.groups()
    installed = version(name)
    sys.stdout.write(f"{name} {installed}\n")
    if not re.fullmatch(rf"{re.escape(bound)}(\.0)*", installed):
        wrong.append(f"{requirement} is declared, {installed} is the lowest that can be installed with the others.")
if wrong:
    sys.exit("\n".join(wrong))
