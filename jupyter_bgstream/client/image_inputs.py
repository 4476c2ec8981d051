"""Pictures from a notebook: a file, bytes, a figure or an image becomes a part of a message.

Neither matplotlib nor PIL is imported: what an object can do says what it is.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

from ..core.errors import InvalidRequestError
from ..core.events import MediaType
from ..core.image_files import media_type_of
from .images import Picture

_OWN_FORMATS = ("GIF", "JPEG", "PNG", "WEBP")  # of a PIL image that was just opened


def image_part(picture: Any) -> dict[str, str]:
    """Return the part of a message that is a picture, as REST takes it.

    ``picture`` is a path, the bytes of a file, a matplotlib figure, a PIL image, a picture of an answer, or anything
    else that a notebook shows as a picture. Raises InvalidRequestError, whose sentence says what is wrong with it.
    """
    data = _data(picture)
    return {"type": "image", "media_type": _media_type(data, picture), "data": b64encode(data).decode()}


def _data(picture: Any) -> bytes:
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return _file(picture)
    if isinstance(picture, Picture):
        return picture.data
    for write in _writers(picture):
        try:
            if data := write():
                return data
        except Exception as error:
            raise InvalidRequestError(
                f"{_kind(picture)} could not be made a picture: {type(error).__name__}: {error}", field="images"
            ) from error
    raise InvalidRequestError(
        f"{_kind(picture)} is no picture: give a path, the bytes of a file, a matplotlib figure or a PIL image"
        " (PIL.Image.fromarray makes one of an array).",
        field="images",
    )


def _writers(picture: Any) -> list[Callable[[], bytes | None]]:
    # What makes bytes of it, the best way first.
    ways: list[Callable[[], bytes | None]] = []
    figure: Any = picture if hasattr(picture, "savefig") else getattr(picture, "figure", None)  # axes know theirs
    if hasattr(figure, "savefig"):
        ways.append(lambda: _written(figure.savefig, "png", bbox_inches="tight"))
    if callable(getattr(picture, "save", None)) and hasattr(picture, "mode"):
        own = getattr(picture, "format", None)
        ways.append(lambda: _written(picture.save, own if own in _OWN_FORMATS else "PNG"))
    for name in ("_repr_png_", "_repr_jpeg_"):
        if callable(shown := getattr(picture, name, None)):
            ways.append(lambda shown=shown: _shown(shown()))  # type: ignore[misc]
    return ways


def _written(write: Callable[..., Any], format: str, **how: Any) -> bytes:
    if format == "JPEG":
        how["quality"] = "keep"  # or it would be compressed a second time
    file = BytesIO()
    write(file, format=format, **how)
    return file.getvalue()


def _shown(found: Any) -> bytes | None:
    # IPython's: bytes, or base64, or either with metadata.
    if isinstance(found, tuple):
        found = found[0]
    if isinstance(found, str):
        found = b64decode(found)
    return found if isinstance(found, bytes) else None


def _file(path: str | os.PathLike[str]) -> bytes:
    name = os.fspath(path)
    scheme, _, rest = name.partition(":")
    if scheme.lower() == "data" and ";base64," in rest:
        try:
            return b64decode(rest.partition(";base64,")[2], validate=True)
        except binascii.Error:
            raise InvalidRequestError("The data URL of an image is not base64.", field="images") from None
    if rest.startswith("//") and len(scheme) > 1:  # one letter is a drive
        raise InvalidRequestError(
            f"{name[:100]} is an address; download the picture and give its path.", field="images"
        )
    try:
        return Path(name).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(f"The image {name[:200]!r} cannot be read: {reason}.", field="images") from None


def _media_type(data: bytes, picture: Any) -> MediaType:
    if (media_type := media_type_of(data)) is not None:
        return media_type
    known = ", ".join(kind.partition("/")[2].upper() for kind in get_args(MediaType))
    what = repr(os.fspath(picture))[:200] if isinstance(picture, str | os.PathLike) else _kind(picture)
    raise InvalidRequestError(f"{what} is none of the pictures that models take: {known}.", field="images")


def _kind(picture: Any) -> str:
    return f"This {type(picture).__name__}"
