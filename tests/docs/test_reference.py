"""The reference covers every public name, every command and every path of the API."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupyter_bgstream as bg
from jupyter_bgstream.cli import command_parser
from jupyter_bgstream.server.openapi import openapi_document
from jupyter_bgstream.server.routes import ROUTES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs/extensions"))

from command_page import command_page  # noqa: E402
from rest_page import rest_page  # noqa: E402


def test_every_public_name_is_in_the_python_reference() -> None:
    page = (ROOT / "docs/reference/python.md").read_text()
    directives = re.findall(r"^\.\. auto(?:function|class|exception):: jupyter_bgstream\.(\w+)", page, re.MULTILINE)
    assert sorted(directives) == sorted(bg.__all__)


def test_rest_page_has_every_operation_and_links_to_schemas_that_exist() -> None:
    document = openapi_document([route for route in ROUTES if route[0] != "live"], "/")
    page = rest_page(document)
    operations = {f"{verb.upper()} {path[1:]}" for path, verbs in document["paths"].items() for verb in verbs}
    assert set(re.findall(r"^### `(.+)`$", page, re.MULTILINE)) == {
        each for each in operations if not each.startswith("HEAD ")
    }
    assert set(re.findall(r"\(#(schema-\w+)\)", page)) <= set(re.findall(r"^\((schema-\w+)\)=$", page, re.MULTILINE))


def test_page_of_commands_has_every_command() -> None:
    page = command_page(command_parser())
    names = ["demo", "serve", "fill", "prune", "doctor"]
    assert re.findall(r"^## `jupyter bgstream (\w+)`$", page, re.MULTILINE) == names
    assert "| `--wait [SECONDS]` |" in page
    assert "| `NOTEBOOK …` |" in page
