"""Files of Python and TypeScript have at most 400 lines, so that a file has one job."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 400  # lines
GENERATED = {"labextension/src/wire/schema.ts"}


def source_files() -> list[Path]:
    """Return all files of Python and TypeScript that git does not ignore, except generated ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.ts"]
    names = set(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines())
    assert names >= GENERATED
    paths = (ROOT / name for name in sorted(names - GENERATED))
    return [path for path in paths if path.exists()]  # not deleted in the work tree


def long_files(paths: Iterable[Path]) -> dict[str, int]:
    """Return the number of lines of each file that has too many."""
    lines = {str(path): len(path.read_bytes().splitlines()) for path in paths}
    return {name: number for name, number in lines.items() if number > LONGEST}


def test_file_above_limit_is_found(tmp_path: Path) -> None:
    within, above = tmp_path / "within.py", tmp_path / "above.py"
    within.write_text("pass\n" * LONGEST)
    above.write_text("pass\n" * (LONGEST + 1))
    assert long_files([within, above]) == {str(above): LONGEST + 1}


def test_no_source_file_is_longer_than_limit() -> None:
    files = source_files()
    assert Path(__file__) in files
    assert long_files(files) == {}, "Split each file by subject."
