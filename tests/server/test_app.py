"""Settings reach what they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_bgstream.server import app
from jupyter_bgstream.server.app import BgStreamApp


@pytest.mark.parametrize("full", [False, True])
def test_full_sync_and_the_path_reach_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, full: bool) -> None:
    asked: list[tuple[Path, dict[str, Any]]] = []
    monkeypatch.setattr(app, "SQLiteStore", lambda path, **settings: asked.append((path, settings)))
    BgStreamApp(full_sync=full, database=str(tmp_path / "x.sqlite"))._open_store("here")
    assert asked == [(tmp_path / "x.sqlite", {"server": "here", "full": full})]
