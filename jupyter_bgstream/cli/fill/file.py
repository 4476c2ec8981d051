"""A notebook's file: read with the form it has, and replaced in one step."""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

_LONE = re.compile("[\ud800-\udfff]")
_OLDEST = 4  # the format from which on an output has data by MIME type


class BadFileError(Exception):
    """A file cannot be read as a notebook, or cannot be written; its words say what to do."""


class Notebook(NamedTuple):
    """A notebook as it was read."""

    content: dict[str, Any]
    indent: int | str | None
    ascii: bool
    after: str  # the last closing brace
    newline: str
    as_read: tuple[int, ...]  # tells whether somebody has written the file since

    def encoded(self) -> bytes:
        """Return it in its file's own form: that of nbformat, unless something else wrote it."""
        separators = (",", ": ") if self.indent is not None else None
        text = json.dumps(self.content, indent=self.indent, ensure_ascii=self.ascii, separators=separators)
        if not self.ascii:  # half a character can only be written as JSON has it
            text = _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
        return (text + self.after).replace("\n", self.newline).encode()


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
        raise BadFileError("this is a folder; name notebooks, such as folder/*.ipynb") from None
    except OSError as error:
        raise BadFileError(f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"this is no notebook: {_reason(error)}") from None
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise BadFileError("this is no notebook: it has no nbformat")
    if content["nbformat"] < _OLDEST:
        raise BadFileError(f"it has the old format {content['nbformat']}; open it in Jupyter and save it once")
    if not isinstance(content.get("cells"), list):
        raise BadFileError("this is no notebook: it has no cells")
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    indent = re.match(r"\{\n([ \t]+)", text)
    return Notebook(
        content=content,
        indent=indent[1] if indent else None,
        ascii=text.isascii() and "\\u" in text,
        after=text[len(text.rstrip()) :],
        newline=newline,
        as_read=as_read,
    )


def replace_notebook(path: Path, notebook: Notebook) -> bool:
    """Put it in the file's place, in one step; False, and nothing is written, if somebody wrote there meanwhile.

    Raises BadFileError.
    """
    path = path.resolve()  # a link stays one
    aside = path.with_name(f".~{path.name}.{secrets.token_hex(4)}")
    try:
        mode = path.stat().st_mode
        if not os.access(path, os.W_OK):
            raise BadFileError("it cannot be written: it is read-only")
        try:
            with aside.open("xb") as file:
                file.write(notebook.encoded())
                file.flush()
                os.fsync(file.fileno())
            aside.chmod(mode)
            if _stamp(path.stat()) != notebook.as_read:
                return False
            aside.replace(path)
        finally:
            with suppress(OSError):
                aside.unlink()
    except OSError as error:
        raise BadFileError(f"it cannot be written: {error.strerror}") from None
    return True


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno} is not JSON"
    return "it is not text" if isinstance(error, UnicodeDecodeError) else "it is not JSON"
