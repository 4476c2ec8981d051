"""Images for a prompt: a path, bytes, a figure or an image object becomes a part of a message.

Objects are recognized by their methods; neither matplotlib nor PIL is imported.
"""

import binascii
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any, get_args

from ..core.attachment_checks import MAX_IMAGE_BYTES
from ..core.errors import InvalidRequestError
from ..core.events import MediaType
from ..core.image_files import media_type_of
from .answer_images import AnswerImage
from .file_reader import read_input

_OWN_FORMATS = ("GIF", "JPEG", "PNG", "WEBP")  # of a PIL image that was read from a file


def image_part(image: Any) -> dict[str, str]:
    """Return the message part of an image, as REST takes it.

    Args:
        image: a path, a data URL, the bytes of a file, a matplotlib figure, a PIL image, an image of an answer, or any
            object that a notebook shows as PNG or JPEG.

    Raises:
        InvalidRequestError: the image cannot be read, or has a type that models do not take.

    """
    data = _data(image)
    return {"type": "image", "media_type": _media_type(data, image), "data": b64encode(data).decode()}


def _data(image: Any) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return _file(image)
    if isinstance(image, AnswerImage):
        return image.data
    for write in _writers(image):
        try:
            if data := write():
                return data
        except Exception as error:
            raise InvalidRequestError(
                f"{_kind(image)} could not be converted to an image: {type(error).__name__}: {error}", field="images"
            ) from error
    raise InvalidRequestError(
        f"{_kind(image)} is not an image. Use a path, the bytes of a file, a matplotlib figure or a PIL image"
        " (PIL.Image.fromarray converts an array).",
        field="images",
    )


def _writers(image: Any) -> list[Callable[[], bytes | None]]:
    # Functions that return the bytes of the file, best first.
    writers: list[Callable[[], bytes | None]] = []
    figure: Any = image if hasattr(image, "savefig") else getattr(image, "figure", None)  # of axes
    if hasattr(figure, "savefig"):
        writers.append(lambda: _written(figure.savefig, "png", bbox_inches="tight"))
    if callable(getattr(image, "save", None)) and hasattr(image, "mode"):
        own = getattr(image, "format", None)
        writers.append(lambda: _written(image.save, own if own in _OWN_FORMATS else "PNG"))
    for name in ("_repr_png_", "_repr_jpeg_"):
        if callable(represent := getattr(image, name, None)):
            writers.append(lambda represent=represent: _decoded(represent()))  # type: ignore[misc]
    return writers


def _written(write: Callable[..., Any], format: str, **options: Any) -> bytes:
    if format == "JPEG":
        options["quality"] = "keep"  # otherwise it would be compressed again
    file = BytesIO()
    write(file, format=format, **options)
    return file.getvalue()


def _decoded(found: Any) -> bytes | None:
    # As IPython defines it: bytes or base64, alone or with metadata.
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
            raise InvalidRequestError("The data URL of the image is not valid base64.", field="images") from None
    data = read_input(name, MAX_IMAGE_BYTES, "image")
    if len(data) > MAX_IMAGE_BYTES:
        message = f"The image {repr(name)[:200]} has more than {MAX_IMAGE_BYTES // 2**20} MiB. Make it smaller."
        raise InvalidRequestError(message, field="images")
    return data


def _media_type(data: bytes, image: Any) -> MediaType:
    if (media_type := media_type_of(data)) is not None:
        return media_type
    known = ", ".join(kind.partition("/")[2].upper() for kind in get_args(MediaType))
    what = repr(os.fspath(image))[:200] if isinstance(image, str | os.PathLike) else _kind(image)
    raise InvalidRequestError(f"{what} is not an image that models take. Supported types: {known}.", field="images")


def _kind(image: Any) -> str:
    return f"This {type(image).__name__}"
