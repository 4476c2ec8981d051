"""Settings reach what they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_bgstream.server import app
from jupyter_bgstream.server.app import BgStreamApp

DEFAULTS: dict[str, Any] = {"full": False, "journal": None, "host": None}


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({}, {}),
        ({"full_sync": True}, {"full": True}),
        ({"journal": "rollback", "host": "ada-lab"}, {"journal": "rollback", "host": "ada-lab"}),
        ({"journal": "wal"}, {"journal": "wal"}),
    ],
)
def test_what_is_said_of_the_database_reaches_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, Any], reached: dict[str, Any]
) -> None:
    asked: list[tuple[Path, dict[str, Any]]] = []
    monkeypatch.setattr(app, "SQLiteStore", lambda path, **given: asked.append((path, given)))
    BgStreamApp(database=str(tmp_path / "x.sqlite"), **settings)._open_store("here")
    assert asked == [(tmp_path / "x.sqlite", {"server": "here", **DEFAULTS, **reached})]
