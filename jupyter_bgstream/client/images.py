"""Pictures of an answer in the hands of a notebook or a script."""

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

# A paragraph of the text that stands for a picture, or for one that was not kept.
_IN_TEXT = re.compile(r"^\(Picture [0-9]+(?:: [^\n]*| is [^\n]*)\)[ \t\r]*$", re.MULTILINE)

File = bytes  # in a class that calls the size so

if TYPE_CHECKING:
    import os

    from .api import Api
    from .background import Background


def without_pictures(text: str) -> str:
    """Return the text of an answer without the words that stand for its pictures."""
    return _IN_TEXT.sub("", text)


class Picture:
    """A picture of an answer. Its file is read from the server when it is first needed, and once.

    A notebook shows it, and it may be given to ``images=`` of a prompt. ``data`` and ``save`` raise NotFoundError if
    the job was deleted, ServerUnreachableError if there is no answer.
    """

    def __init__(self, job_id: str, image: Image, background: Background[Api]) -> None:
        self._job = job_id
        self._image = image
        self._background = background
        self._data: File | None = None

    @property
    def id(self) -> str:
        """The picture's id in its job, ``<attempt>-<number>``."""
        return self._image.id

    @property
    def media_type(self) -> str:
        """What it is by its content: image/png, image/jpeg, image/gif or image/webp."""
        return self._image.media_type

    @property
    def bytes(self) -> int:
        """The size of its file."""
        return self._image.bytes

    @property
    def data(self) -> File:
        """Ask for its file, once."""
        if self._data is None:
            self._background.run(self.load)
        assert self._data is not None
        return self._data

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write its file and return the file's path.

        In a folder the file is called ``picture-1.png``, by its number and type; a path without a suffix gets the one
        of the type. A file that is there is replaced, as ``Path.write_bytes`` does. The picture is not converted,
        whatever the suffix.
        """
        file = Path(path).expanduser()
        if file.is_dir():
            file /= f"picture-{number_of(self._image)}{suffix(self._image)}"
        elif not file.suffix:
            file = file.with_name(f"{file.name}{suffix(self._image)}")
        file.write_bytes(self.data)
        return file

    async def load(self, api: Api) -> File:
        """Read its file, unless it was read before."""
        if self._data is None:
            self._data = await api.image(self._job, self.id)
        return self._data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and (self._job, self.id) == (other._job, other.id)

    def __hash__(self) -> int:
        return hash((Picture, self._job, self.id))

    def __repr__(self) -> str:
        return f"<{caption(self._image)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        try:
            return {self.media_type: b64encode(self.data).decode(), "text/plain": repr(self)}
        except BgStreamError as error:  # one sentence is better than a traceback
            return {"text/plain": f"{self!r} cannot be shown. {error}"}

    def _repr_png_(self) -> File | None:  # other packages look for these
        return self._shown_as("image/png")

    def _repr_jpeg_(self) -> File | None:
        return self._shown_as("image/jpeg")

    def _shown_as(self, media_type: MediaType) -> File | None:
        with suppress(BgStreamError):
            return self.data if self.media_type == media_type else None
        return None


class Pictures:
    """The pictures of one job, each of them read once."""

    def __init__(self, job_id: str, background: Background[Api]) -> None:
        self._job = job_id
        self._background = background
        self._pictures: dict[Image, Picture] = {}

    def of(self, images: Iterable[Image]) -> list[Picture]:
        """Return the pictures of an answer."""
        return [self._pictures.setdefault(image, Picture(self._job, image, self._background)) for image in images]

    async def load(self, api: Api, images: Sequence[Image]) -> None:
        """Read those files that a notebook's file may have; one that cannot be read is left out."""
        for picture in self.of(embeddable(images)):
            with suppress(BgStreamError):
                await picture.load(api)

    def files(self, images: Iterable[Image]) -> Mapping[str, File]:
        """Return the files that were read, by their ids."""
        return {picture.id: picture._data for picture in self.of(images) if picture._data is not None}
