"""Images of an answer, as a notebook or a script uses them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BgStreamError
from ..core.events import Image, MediaType
from ..outputs.images import caption, embeddable, number_of, suffix

# A paragraph of the text in place of an image, or of an image that was not stored.
_IN_TEXT = re.compile(r"^\(Picture [0-9]+(?:: [^\n]*| is [^\n]*)\)[ \t\r]*$", re.MULTILINE)

File = bytes  # the class has a property named bytes

if TYPE_CHECKING:
    import os

    from .background_loop import Background
    from .rest_client import Api


def without_image_lines(text: str) -> str:
    """Return the text of an answer without the paragraphs in place of its images."""
    return _IN_TEXT.sub("", text)


class AnswerImage:
    """Image of an answer; its file is read from the server once, at first use.

    A notebook shows the image, and ``images=`` of a prompt takes it. ``data`` and ``save`` raise NotFoundError if the
    job was deleted, and ServerUnreachableError if the server does not answer.
    """

    def __init__(self, job_id: str, image: Image, background: Background[Api]) -> None:
        self._job = job_id
        self._image = image
        self._background = background
        self._data: File | None = None

    @property
    def id(self) -> str:
        """Id of the image in its job, ``<attempt>-<number>``."""
        return self._image.id

    @property
    def media_type(self) -> str:
        """Type by its content: image/png, image/jpeg, image/gif or image/webp."""
        return self._image.media_type

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self._image.bytes

    @property
    def data(self) -> File:
        """Ask for the file, once."""
        if self._data is None:
            self._background.run(self.load)
        assert self._data is not None
        return self._data

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file and return its path; an existing file is replaced, and the image is never converted.

        Args:
            path: a folder, where the name is ``picture-1.png`` by number and type, or a file. A file without a suffix
                gets the suffix of the type.

        """
        file = Path(path).expanduser()
        if file.is_dir():
            file /= f"picture-{number_of(self._image)}{suffix(self._image)}"
        elif not file.suffix:
            file = file.with_name(f"{file.name}{suffix(self._image)}")
        file.write_bytes(self.data)
        return file

    async def load(self, api: Api) -> File:
        """Read the file, unless it has been read."""
        if self._data is None:
            self._data = await api.image(self._job, self.id)
        return self._data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnswerImage) and (self._job, self.id) == (other._job, other.id)

    def __hash__(self) -> int:
        return hash((AnswerImage, self._job, self.id))

    def __repr__(self) -> str:
        return f"<{caption(self._image)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        try:
            return {self.media_type: b64encode(self.data).decode(), "text/plain": repr(self)}
        except BgStreamError as error:  # a sentence is better than a traceback
            return {"text/plain": f"{self!r} cannot be shown: {error}"}

    def _repr_png_(self) -> File | None:  # other packages call these
        return self._data_if("image/png")

    def _repr_jpeg_(self) -> File | None:
        return self._data_if("image/jpeg")

    def _data_if(self, media_type: MediaType) -> File | None:
        with suppress(BgStreamError):
            return self.data if self.media_type == media_type else None
        return None


class AnswerImages:
    """Images of one job; each file is read once."""

    def __init__(self, job_id: str, background: Background[Api]) -> None:
        self._job = job_id
        self._background = background
        self._images: dict[Image, AnswerImage] = {}

    def of(self, images: Iterable[Image]) -> list[AnswerImage]:
        """Return the handles of these images."""
        return [self._images.setdefault(image, AnswerImage(self._job, image, self._background)) for image in images]

    async def load(self, api: Api, images: Sequence[Image]) -> None:
        """Read the files that a notebook file may embed; a file that cannot be read is left out."""
        for image in self.of(embeddable(images)):
            with suppress(BgStreamError):
                await image.load(api)

    def files(self, images: Iterable[Image]) -> Mapping[str, File]:
        """Return the files that have been read, by image id."""
        return {image.id: image._data for image in self.of(images) if image._data is not None}
