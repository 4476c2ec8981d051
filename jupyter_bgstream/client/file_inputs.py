"""Files for a prompt: a path or bytes become the message part of their type."""

import os
from base64 import b64encode
from pathlib import Path, PurePath

from ..core.attachment_checks import MAX_FILE_BYTES, audio_type, is_pdf, text_problem
from ..core.errors import InvalidRequestError
from ..core.image_files import media_type_of
from ..core.messages import PDF
from ..core.terminal_text import visible_line
from .file_reader import read_input

NAME_LENGTH = 200  # characters
KINDS = "PDF, text in UTF-8, PNG, JPEG, GIF, WebP, WAV or MP3"

_TEXT_TYPES = {  # others: text/plain. Not from the machine's table, which differs: a job sent twice must be the same
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".py": "text/x-python",
    ".tex": "text/x-tex",
    ".tsv": "text/tab-separated-values",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


class File:
    """PDF, text, image or audio file for a prompt.

    The content decides the type. The suffix of the name decides which type of text a text file has.

    Args:
        source: a path, or the bytes of the file.
        name: name that the model sees; default: the name in the path.

    Raises:
        InvalidRequestError: the file cannot be read, is too large, or has a type that models do not take.

    >>> bg.File(b"city,rain", name="rain.csv")
    <File rain.csv text/csv 9 bytes>
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, *, name: str | None = None) -> None:
        if isinstance(source, bytes | bytearray | memoryview):
            self.data = bytes(source)
            named = name or ""
        elif isinstance(source, str | os.PathLike):
            named = name or os.path.basename(os.fspath(source))  # noqa: PTH119 - a URL is not a path
            self.data = _read(os.fspath(source))
        else:
            raise InvalidRequestError(
                f"A file must be a path, or bytes with a name, not a {type(source).__name__}.", field="files"
            )
        self.media_type = _media_type(self.data, named)
        self.name = named[-NAME_LENGTH:] or ("file.pdf" if self.media_type == PDF else "file.txt")

    def part(self) -> dict[str, str]:
        """Return the message part, as REST takes it."""
        kind = self.media_type.partition("/")[0]
        part = {"type": kind if kind in ("image", "audio") else "file", "media_type": self.media_type}
        if part["type"] == "file":
            part["name"] = self.name
        return part | {"data": b64encode(self.data).decode()}

    def __repr__(self) -> str:
        return visible_line(f"<File {self.name} {self.media_type} {len(self.data):,} bytes>")


def _read(path: str) -> bytes:
    found, shown = Path(path).expanduser(), repr(path)[:200]
    if found.is_dir():
        raise InvalidRequestError(f"{shown} is a folder. Use the path of a file in it.", field="files")
    data = read_input(path, MAX_FILE_BYTES, "file")
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(shown, found.stat().st_size)
    return data


def _media_type(data: bytes, name: str) -> str:
    what = f"The file {name!r}"[:200] if name else "This file"
    if not data:
        raise InvalidRequestError(f"{what} is empty.", field="files")
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(repr(name), len(data))
    if (known := media_type_of(data) or audio_type(data)) is not None:
        return known
    if data.startswith(b"%PDF-") or (name.lower().endswith(".pdf") and is_pdf(data)):
        return PDF
    if b"\0" in data or name.lower().endswith(".pdf"):
        raise InvalidRequestError(
            f"{what} has a type that models do not take. Convert it to one of: {KINDS}.", field="files"
        )
    if problem := text_problem(data):
        raise InvalidRequestError(f"{what} {problem}.", field="files")
    return _TEXT_TYPES.get(PurePath(name).suffix.lower(), "text/plain")


def _too_large(shown: str, size: int) -> InvalidRequestError:
    limit = f"{MAX_FILE_BYTES // 2**20} MiB"
    return InvalidRequestError(
        f"The file {shown} has {size / 2**20:.1f} MiB; the limit is {limit}. Make it smaller.", field="files"
    )
