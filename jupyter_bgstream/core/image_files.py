"""Image files: the media type by the first bytes, not by the name, and the size as text."""

from .events import MediaType

HEAD_BYTES = 12  # that decide the media type

FORMATS: dict[MediaType, str] = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WebP"}


def media_type_of(data: bytes) -> MediaType | None:
    """Return the media type of a file by its first HEAD_BYTES bytes; None for any other file."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def size_words(size: int) -> str:
    """Return a number of bytes as text, such as 12.3 kB.

    Computed with integers, because Python and JavaScript round halves differently.
    """
    if size < 1000:
        return f"{size} bytes"
    tenths, unit = (size + 50) // 100, "kB"
    if tenths >= 10_000:
        tenths, unit = (size + 50_000) // 100_000, "MB"
    return f"{tenths // 10}.{tenths % 10} {unit}"
