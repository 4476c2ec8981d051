"""Notebook files: read with their formatting, and replaced in one step."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .json_spans import Span, items, members

_LONE = re.compile("[\ud800-\udfff]")
_OLDEST = 4  # first format whose outputs have data by MIME type


class BadFileError(Exception):
    """A file is not a readable notebook, or cannot be written; the message says what to do."""


class Notebook(NamedTuple):
    """Notebook as it was read."""

    content: dict[str, Any]
    text: str
    as_read: tuple[int, ...]  # detects later changes of the file

    def encoded(self) -> bytes:
        """Return the text of the file with the changed data of outputs, formatted like the file.

        All other bytes stay: numbers such as ``1e5`` or ``0.10`` are never parsed and rewritten.
        """
        pieces, at = [], 0
        before = json.loads(self.text)
        for cell, output, span in _data_spans(self.text):
            now = self.content["cells"][cell]["outputs"][output]["data"]
            if json.dumps(now) != json.dumps(before["cells"][cell]["outputs"][output]["data"]):
                pieces += [self.text[at : span.start], self._written(now, span)]
                at = span.end
        return "".join([*pieces, self.text[at:]]).encode()

    def _written(self, data: Any, span: Span) -> str:
        # With the indent and the escapes of the file at this position.
        old = self.text[span.start : span.end]
        line = self.text[self.text.rfind("\n", 0, span.start) + 1 : span.start]
        outer = line[: len(line) - len(line.lstrip())]
        inner = re.match(r"\{\r?\n([ \t]+)", old)
        indent = inner[1].removeprefix(outer) if inner else None
        ascii = self.text.isascii() and "\\u" in self.text
        separators = (",", ": ") if indent is not None else None
        text = json.dumps(data, indent=indent, ensure_ascii=ascii, separators=separators)
        if not ascii:  # a lone surrogate can only be written as a JSON escape
            text = _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
        return text.replace("\n", ("\r\n" if "\r\n" in self.text else "\n") + outer)


def _data_spans(text: str) -> Iterator[tuple[int, int, Span]]:
    # For every output with data: the indices of its cell and of itself, and the position of its data.
    cells = members(text, 0).get("cells")
    for number, cell in enumerate(items(text, cells.start) if cells else ()):
        outputs = members(text, cell.start).get("outputs")
        for place, output in enumerate(items(text, outputs.start) if outputs else ()):
            if data := members(text, output.start).get("data"):
                yield number, place, data


def read_notebook(path: Path) -> Notebook:
    """Read a notebook; raises BadFileError."""
    try:
        with path.open("rb") as file:
            as_read = _stamp(os.fstat(file.fileno()))
            text = file.read().decode()
        content = json.loads(text)
    except FileNotFoundError:
        raise BadFileError("there is no such file") from None
    except IsADirectoryError:
        raise BadFileError("this is a folder; use the paths of notebooks, such as folder/*.ipynb") from None
    except OSError as error:
        raise BadFileError(f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"this is not a notebook: {_reason(error)}") from None
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise BadFileError("this is not a notebook: it has no nbformat")
    if content["nbformat"] < _OLDEST:
        raise BadFileError(f"it has the old format {content['nbformat']}; open it in Jupyter and save it once")
    if not isinstance(content.get("cells"), list):
        raise BadFileError("this is not a notebook: it has no cells")
    return Notebook(content, text, as_read)


def replace_notebook(path: Path, notebook: Notebook) -> bool:
    """Replace the file in one step.

    Returns:
        False, without writing, if the file was changed meanwhile.

    Raises:
        BadFileError: the file cannot be written.

    """
    path = path.resolve()  # keep symbolic links
    temporary = path.with_name(f".~{path.name}.{secrets.token_hex(4)}")
    try:
        mode = path.stat().st_mode
        if not os.access(path, os.W_OK):
            raise BadFileError("it cannot be written: it is read-only")
        try:
            # Private until it has the mode of the notebook.
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(notebook.encoded())
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            if _stamp(path.stat()) != notebook.as_read:
                return False
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink()
    except OSError as error:
        raise BadFileError(f"it cannot be written: {error.strerror}") from None
    return True


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno} is not JSON"
    return "it is not text" if isinstance(error, UnicodeDecodeError) else "it is not JSON"
