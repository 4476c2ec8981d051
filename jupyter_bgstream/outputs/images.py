"""Images of an answer in a notebook file: a line about each, and the image unless the file would become too large.

An image is Markdown with a data URI. It is made from the bytes of a file that the server has recognized as an image,
and never from the text of an answer. Golden cases, shared with ``labextension/src/outputs/images.ts``:
``tests/golden/bundle.json`` and ``tests/golden/jobs.json``.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..core.events import Image
from ..core.image_files import FORMATS, size_words
from .citations import line_markdown
from .escape_markdown import escape_html
from .open_code_block import Fence

IMAGE_LIMIT = 2**20  # bytes of an image
OUTPUT_LIMIT = 4 * 2**20  # bytes of all images of an output

_SAVED = re.compile(
    r"^!\[Picture [0-9]{1,4}\]\(data:image/(?:png|jpeg|gif|webp);base64,([A-Za-z0-9+/]+={0,2})\)$", re.MULTILINE
)
_MISSING = " is not in this file yet."
_LACKING = re.compile(
    rf"^Picture [0-9]{{1,4}}, [A-Za-z]+, [0-9.]+ (?:bytes|kB|MB),{re.escape(_MISSING)}$", re.MULTILINE
)
_WORD = "picture"  # placeholder of an image while the text around it is escaped
_WORDS = re.compile(rf"{_WORD}x*")


class Embedding:
    """Images of one output, which share a limit.

    The whole text of an output is escaped at once, with a short placeholder for each image, because the text would be
    too costly with the data.
    """

    def __init__(self) -> None:
        self._left = OUTPUT_LIMIT
        self._images: list[str] = []

    def markdown(self, job_id: str, images: Sequence[Image], files: Mapping[str, bytes]) -> str:
        """Return the paragraphs about the images of a job, for ``written``; ``files`` are the read files by id."""
        return "\n\n".join(self._paragraphs(job_id, images, files))

    def lifted(self, saved: str) -> str:
        """Return Markdown of a notebook file with placeholders for its images, for ``written``."""
        return _SAVED.sub(self._lift, without_marks(saved))

    def written(self, markdown: str) -> str:
        """Return escaped Markdown with the data of its images, for a notebook file."""
        if not self._images:
            return escape_html(markdown)
        word = _WORD + "x" * (max(map(len, _WORDS.findall(markdown)), default=0) + 1 - len(_WORD))
        images = {f"{word}{number}": image for number, image in enumerate(self._images)}
        for number in range(len(self._images)):
            markdown = markdown.replace(f"\x00{number}\x00", f"{word}{number}")
        fence, lines = Fence(), []
        for line in escape_html(markdown).split("\n"):
            image = images.get(line)
            fence.follow(line)
            # In code it would be a million characters and not an image.
            lines.append(line if image is None else "" if fence.closing else image)
        return "\n".join(lines)

    def _paragraphs(self, job_id: str, images: Sequence[Image], files: Mapping[str, bytes]) -> Iterator[str]:
        for index, image in enumerate(images):
            line, data = caption(image), files.get(image.id)
            if image.bytes > min(IMAGE_LIMIT, self._left):
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
                yield self._placeholder(f"![{name}](data:{image.media_type};base64,{b64encode(data).decode()})")

    def _lift(self, found: re.Match[str]) -> str:
        size = len(found[1]) * 3 // 4 - found[1].count("=")
        if size > min(IMAGE_LIMIT, self._left):
            return found[0]
        self._left -= size
        return self._placeholder(found[0])

    def _placeholder(self, image: str) -> str:
        self._images.append(image)
        return f"\x00{len(self._images) - 1}\x00"


def embeddable(images: Iterable[Image]) -> list[Image]:
    """Return the images of a job that a notebook file can hold, if no other job is in the output."""
    left, chosen = OUTPUT_LIMIT, []
    for image in images:
        if image.bytes <= min(IMAGE_LIMIT, left):
            left -= image.bytes
            chosen.append(image)
    return chosen


def lacks_images(markdown: str) -> bool:
    """Return True if saved Markdown lacks an image that it could have."""
    return _LACKING.search(markdown) is not None


def without_marks(text: str) -> str:
    """Return a text without the character that marks placeholders."""
    return text.replace("\x00", "\ufffd")


def caption(image: Image) -> str:
    """Return the line above an image, such as ``Picture 1, PNG, 12.3 kB``."""
    return f"Picture {number_of(image)}, {FORMATS[image.media_type]}, {size_words(image.bytes)}"


def number_of(image: Image) -> str:
    """Return the number of an image in the text."""
    return image.id.rpartition("-")[2]


def suffix(image: Image) -> str:
    """Return the suffix of the file name of an image."""
    return {"image/jpeg": ".jpg"}.get(image.media_type) or f".{image.media_type.partition('/')[2]}"
