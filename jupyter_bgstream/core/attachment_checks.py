"""Limits of attachments: number, size, position and content of images, files and recordings."""

import re
from collections.abc import Sequence

from .errors import InvalidRequestError
from .messages import FILE_TYPE, PDF, AudioPart, AudioType, FilePart, ImagePart, Message

MAX_IMAGES = 50  # of a job
MAX_IMAGE_BYTES = 10 * 1024 * 1024  # each
MAX_FILES = 50  # of a job, recordings included
MAX_FILE_BYTES = 20 * 1024 * 1024  # each

PDF_START = 1024  # bytes that must contain the header of a PDF: some have a few bytes before it

_FILE_TYPE = re.compile(FILE_TYPE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Attachment = ImagePart | FilePart | AudioPart


def check_attachments(messages: Sequence[Message]) -> None:
    """Check the attachments of all messages of a job.

    Raises:
        InvalidRequestError: Too many or too large attachments, a wrong role, or content of another media type.
    """
    images = files = 0
    for turn, message in enumerate(messages):
        for place, part in enumerate(() if isinstance(message.content, str) else message.content):
            field = f"messages[{turn}].content[{place}]"
            if isinstance(part, ImagePart):
                images += 1
                _check_size("An image", part.data, MAX_IMAGE_BYTES, f"{field}.data")
            elif isinstance(part, FilePart | AudioPart):
                files += 1
                if message.role != "user":
                    what = "A file" if isinstance(part, FilePart) else "A recording"
                    sentence = f"{what} belongs in a message of the role user, not {message.role}."
                    raise InvalidRequestError(sentence, field=field)
                _check_file(part, field)
    if images > MAX_IMAGES:
        raise InvalidRequestError(f"A job takes at most {MAX_IMAGES} images; this one has {images}.", field="messages")
    if files > MAX_FILES:
        raise InvalidRequestError(f"A job takes at most {MAX_FILES} files; this one has {files}.", field="messages")


def name_of(part: Attachment) -> str:
    """Return the name of an attachment at the beginning of a sentence."""
    if isinstance(part, FilePart):
        return f"The file {part.name!r}"
    return "An image" if isinstance(part, ImagePart) else "The recording"


def audio_type(data: bytes) -> AudioType | None:
    """Return the media type of a recording by its first bytes; None if it is neither WAV nor MP3."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "audio/wav"
    # MP3: an ID3 tag, or the header of a layer III frame.
    if data.startswith(b"ID3") or (len(data) > 2 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return "audio/mpeg"
    return None


def is_pdf(data: bytes) -> bool:
    """Return whether a file begins like a PDF."""
    return b"%PDF-" in data[:PDF_START]


def text_problem(data: bytes) -> str | None:
    """Return why a file is not text, as the end of a sentence; None if it is text."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return f"is not text in UTF-8 (byte {error.start:,}): save it as UTF-8, or send a PDF"
    return "is not text: it has NUL characters" if "\0" in text else None


def _check_file(part: FilePart | AudioPart, field: str) -> None:
    what = name_of(part)
    if isinstance(part, FilePart):
        if _CONTROL.search(part.name):
            raise InvalidRequestError("The name of a file has no control characters.", field=f"{field}.name")
        if _FILE_TYPE.fullmatch(part.media_type) is None:
            raise InvalidRequestError(
                f"{what} is {part.media_type!r}: a file is {PDF} or text, such as text/plain or application/json."
                " Convert it to one of these.",
                field=f"{field}.media_type",
            )
    _check_size(what, part.data, MAX_FILE_BYTES, f"{field}.data")
    if isinstance(part, AudioPart):
        if audio_type(part.data) != part.media_type:
            raise InvalidRequestError(
                f"{what} is not what it is called: it is no {part.media_type}.", field=f"{field}.data"
            )
    elif part.is_pdf:
        if not is_pdf(part.data):
            raise InvalidRequestError(f"{what} is no PDF: it does not begin with %PDF-.", field=f"{field}.data")
    elif problem := text_problem(part.data):
        raise InvalidRequestError(f"{what} {problem}.", field=f"{field}.data")


def _check_size(what: str, data: bytes, most: int, field: str) -> None:
    if not data:
        raise InvalidRequestError(f"{what} is empty.", field=field)
    if len(data) > most:
        raise InvalidRequestError(
            f"{what} has {len(data) / 2**20:.1f} MiB; at most {most // 2**20} MiB are taken: make it smaller.",
            field=field,
        )
