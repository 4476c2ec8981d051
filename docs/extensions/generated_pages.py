"""Sphinx extension: write the pages that are made from other files before the documents are read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from command_page import command_page
from rest_page import rest_page
from sphinx.application import Sphinx

from jupyter_bgstream.cli import command_parser
from jupyter_bgstream.server.openapi import openapi_document
from jupyter_bgstream.server.routes import ROUTES

ROOT = Path(__file__).parents[2]


def write_pages(app: Sphinx) -> None:
    """Write two pages of the reference, and the notebooks below ``tutorials``."""
    source = Path(app.srcdir)
    api = [route for route in ROUTES if route[0] != "live"]  # a WebSocket is not part of OpenAPI
    write(source / "reference" / "rest.md", rest_page(openapi_document(api, "/")))
    write(source / "reference" / "commands.md", command_page(command_parser()))
    folder = source / "tutorials" / "notebooks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        write(folder / path.name, path.read_text(encoding="utf-8"))


def write(path: Path, text: str) -> None:
    """Write a file if its text differs."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def link_to_pages(app: Sphinx, name: str, content: list[str]) -> None:
    """Replace links to files outside ``docs``, which work on GitHub, by links to their pages."""
    depth = "../" * name.count("/")
    pages = {
        "PROTOCOL.md": "reference/protocol.md",
        "CHANGELOG.md": "reference/changelog.md",
        "notebooks/": "tutorials/notebooks/",
    }
    for file, page in pages.items():
        content[0] = re.sub(rf"\]\((?:\.\./)+{re.escape(file)}", f"]({depth}{page}", content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the steps."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link_to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
