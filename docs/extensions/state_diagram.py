"""Sphinx extension: show the state diagram of the architecture page as a table.

GitHub draws the diagram from its Mermaid source. The site loads no script for it.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

TRANSITION = re.compile(r"^\s*(\S+) --> (\w+): (.+)$")


class StateDiagram(Directive):
    """The content of a ``mermaid`` fence: one row for each transition."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = [match.groups() for line in self.content if (match := TRANSITION.match(line))]
        columns = [nodes.colspec(colwidth=width) for width in (20, 20, 60)]
        head = nodes.thead("", row(("from", "to", "events")))
        body = nodes.tbody("", *(row(cells) for cells in rows))
        group = nodes.tgroup("", *columns, head, body, cols=3)
        return [nodes.table("", group)]


def row(cells: tuple[str | Any, ...]) -> nodes.row:
    """Return a row of text cells."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("mermaid", StateDiagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
