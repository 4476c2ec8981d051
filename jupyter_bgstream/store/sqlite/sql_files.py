"""The named queries of ``sql/queries.sql`` and the numbered migrations beside it."""

import sqlite3
from importlib.resources import files
from typing import Any

_FOLDER = files(__package__) / "sql"


def _named(text: str) -> dict[str, str]:
    _, *parts = text.split("-- name: ")
    return {name.strip(): query.strip() for name, _, query in (part.partition("\n") for part in parts)}


QUERIES = _named((_FOLDER / "queries.sql").read_text("utf-8"))


def migrations() -> list[list[str]]:
    """Return the statements of each migration, in order: the first leads to version 1, the next to version 2."""
    names = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name[:3].isdigit())
    return [(_FOLDER / name).read_text("utf-8").split(";\n") for name in names]


def run(db: sqlite3.Connection, name: str, /, **values: Any) -> sqlite3.Cursor:
    """Execute a query by its name."""
    return db.execute(QUERIES[name], values)


def one(db: sqlite3.Connection, name: str, /, **values: Any) -> Any:
    """Return the first row of a query, or None."""
    return run(db, name, **values).fetchone()
