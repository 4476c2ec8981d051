"""Tables of text, in plain text and in HTML."""

from collections.abc import Sequence
from html import escape
from typing import Any

from ..core.terminal_text import visible_line

Rows = Sequence[Sequence[str]]

# Untrusted text must not be typeset: a formula can link to this server, or load an image.
TABLE = '<table class="mathjax_ignore tex2jax_ignore">'


class Table:
    """Base class of values that display as a table."""

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.bundle()["text/plain"]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return self.bundle()


def grid(
    headings: Sequence[str],
    rows: Rows,
    *,
    numbers: int | None = None,
    code: bool = False,
    notes: Sequence[str] = (),
    empty: str = "",
) -> dict[str, str]:
    """Return the display bundle of a table.

    Args:
        headings: headings of the columns.
        rows: cells as text.
        numbers: index of the first column with numbers, which are aligned to the right.
        code: show the first column as code.
        notes: lines below the table.
        empty: sentence instead of a table without rows.

    """
    if empty and not rows:
        return {"text/plain": empty, "text/html": f"<p>{empty}</p>"}
    first = len(headings) if numbers is None else numbers
    return {
        "text/plain": "\n".join([_plain(headings, rows, first), *map(visible_line, notes)]),
        "text/html": _html(headings, rows, first, code) + "".join(f"<p>{escape(note)}</p>" for note in notes),
    }


def cut(text: str, length: int) -> str:
    """Return a text, or its beginning with an ellipsis; at most ``length`` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _plain(headings: Sequence[str], rows: Rows, numbers: int) -> str:
    rows = [tuple(map(visible_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return "\n".join(_aligned(row, widths, numbers) for row in (headings, *rows))


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: int) -> str:
    cells = [
        cell.rjust(width) if column >= numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _html(headings: Sequence[str], rows: Rows, numbers: int, code: bool) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        sides = ["right" if column >= numbers else "left" for column in range(len(row))]
        return "".join(
            f'<{tag} style="text-align: {side}">{cell}</{tag}>' for cell, side in zip(row, sides, strict=True)
        )

    head = cells("th", headings)
    body = "".join(f"<tr>{cells('td', [_first(row[0], code), *map(escape, row[1:])])}</tr>" for row in rows)
    return f"{TABLE}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _first(text: str, code: bool) -> str:
    return f"<code>{escape(text)}</code>" if code else escape(text)
