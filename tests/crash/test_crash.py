"""Servers under load are killed, stopped and suspended. See docs/explanation/crash-tests.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash.world import World


@pytest.mark.parametrize(("names", "deaths", "seed"), [(("a",), 6, 1), (("a", "b"), 4, 1)])
async def test_no_event_is_lost_or_duplicated_over_server_deaths(
    names: tuple[str, ...], deaths: int, seed: int, tmp_path: Path
) -> None:
    figures = await World(seed, tmp_path, names=names, deaths=deaths).run()
    assert figures.counts["requests cut off by a kill"] > 0
    assert figures.counts["events seen by viewers"] > 0
