"""The pictures of an answer in a notebook file: a line about each, and the picture unless the file became too large.

A picture is Markdown with a data URI, made from the bytes of a file that the server has recognized as a picture, and
never from the text of an answer. Golden cases, shared with ``labextension/src/embedding.ts``:
``tests/golden/bundle.json`` and ``tests/golden/jobs.json``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..core.events import Image
from ..core.image_files import FORMATS, size_words
from .citations import line_markdown
from .fence import Fence
from .markdown import escape_html

PICTURE_LIMIT = 2**20  # bytes of a picture
OUTPUT_LIMIT = 4 * 2**20  # bytes of all pictures in an output

_SAVED = re.compile(
    r"^!\[Picture [0-9]{1,4}\]\(data:image/(?:png|jpeg|gif|webp);base64,([A-Za-z0-9+/]+={0,2})\)$", re.MULTILINE
)
_MISSING = " is not in this file yet."
_LACKING = re.compile(
    rf"^Picture [0-9]{{1,4}}, [A-Za-z]+, [0-9.]+ (?:bytes|kB|MB),{re.escape(_MISSING)}$", re.MULTILINE
)
_WORD = "picture"  # stands for a picture while the text around it is escaped
_WORDS = re.compile(rf"{_WORD}x*")


class Embedding:
    """The pictures of one output, which share a limit.

    The whole text of an output is escaped at once, with a short word in the place of each picture: with its data it
    would be too costly a text.
    """

    def __init__(self) -> None:
        self._left = OUTPUT_LIMIT
        self._pictures: list[str] = []

    def markdown(self, job_id: str, images: Sequence[Image], files: Mapping[str, bytes]) -> str:
        """Return the paragraphs about a job's pictures, of which ``files`` are at hand, by id; for ``written``."""
        return "\n\n".join(self._paragraphs(job_id, images, files))

    def lifted(self, saved: str) -> str:
        """Return Markdown from a notebook file without the data of its pictures; for ``written``."""
        return _SAVED.sub(self._lift, without_marks(saved))

    def written(self, markdown: str) -> str:
        """Return Markdown with its pictures as it goes into a notebook file."""
        if not self._pictures:
            return escape_html(markdown)
        word = _WORD + "x" * (max(map(len, _WORDS.findall(markdown)), default=0) + 1 - len(_WORD))
        pictures = {f"{word}{number}": picture for number, picture in enumerate(self._pictures)}
        for number in range(len(self._pictures)):
            markdown = markdown.replace(f"\x00{number}\x00", f"{word}{number}")
        fence, lines = Fence(), []
        for line in escape_html(markdown).split("\n"):
            picture = pictures.get(line)
            fence.follow(line)
            # In code it would be a million characters and no picture.
            lines.append(line if picture is None else "" if fence.closing else picture)
        return "\n".join(lines)

    def _paragraphs(self, job_id: str, images: Sequence[Image], files: Mapping[str, bytes]) -> Iterator[str]:
        for index, image in enumerate(images):
            line, data = caption(image), files.get(image.id)
            if image.bytes > min(PICTURE_LIMIT, self._left):
                yield line_markdown(
                    f"{line}, is not in this file, which would become too large. Save it from the live view, or with "
                    f'bg.job("{job_id}").images[{index}].save("picture{suffix(image)}").'
                )
                continue
            self._left -= image.bytes
            if data is None:
                yield line_markdown(f"{line},{_MISSING}")
            else:
                name = f"Picture {number_of(image)}"
                yield line_markdown(line)
                yield self._place(f"![{name}](data:{image.media_type};base64,{b64encode(data).decode()})")

    def _lift(self, found: re.Match[str]) -> str:
        size = len(found[1]) * 3 // 4 - found[1].count("=")
        if size > min(PICTURE_LIMIT, self._left):
            return found[0]
        self._left -= size
        return self._place(found[0])

    def _place(self, picture: str) -> str:
        self._pictures.append(picture)
        return f"\x00{len(self._pictures) - 1}\x00"


def embeddable(images: Iterable[Image]) -> list[Image]:
    """Return the pictures of a job whose data are wanted for a file, if no other job is beside it."""
    left, wanted = OUTPUT_LIMIT, []
    for image in images:
        if image.bytes <= min(PICTURE_LIMIT, left):
            left -= image.bytes
            wanted.append(image)
    return wanted


def lacks_pictures(markdown: str) -> bool:
    """Whether saved Markdown lacks a picture that it could have."""
    return _LACKING.search(markdown) is not None


def without_marks(text: str) -> str:
    """Return a text that cannot be taken for a picture's place."""
    return text.replace("\x00", "\ufffd")


def caption(image: Image) -> str:
    """Return what is written above a picture, such as ``Picture 1, PNG, 12.3 kB``."""
    return f"Picture {number_of(image)}, {FORMATS[image.media_type]}, {size_words(image.bytes)}"


def number_of(image: Image) -> str:
    """Return the number by which the text names a picture."""
    return image.id.rpartition("-")[2]


def suffix(image: Image) -> str:
    """Return the suffix of the name of a picture's file."""
    return {"image/jpeg": ".jpg"}.get(image.media_type) or f".{image.media_type.partition('/')[2]}"
