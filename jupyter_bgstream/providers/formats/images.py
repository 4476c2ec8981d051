"""Images in an answer, in the forms of all services; nothing is decoded or validated here."""

from typing import Any

from ..port import ImageData

_BASE64 = ";base64"
_MAX_HEAD = 1000  # characters of a data URL before its data

# Types of parts that are images, in formats with typed parts.
KINDS = frozenset({"image_url", "image", "input_image", "output_image"})


def image_of(found: Any) -> ImageData:
    """Return an image from a URL, a data URL, base64, or an object with one of them in a known field.

    An unreadable one is an image without data, so that the answer mentions it.
    """
    for _ in range(3):  # {"image_url": {"url": …}}, {"source": {"data": …}}
        if not isinstance(found, dict):
            break
        found = next((found[name] for name in _FIELDS if found.get(name)), None)
    return _from_text(found) if isinstance(found, str) else ImageData()


_FIELDS = ("image_url", "url", "b64_json", "data", "source", "image", "result", "fileUri")


def _from_text(text: str) -> ImageData:
    head, comma, _ = text[:_MAX_HEAD].partition(",")
    if head[:5].lower() == "data:" and comma:
        return ImageData(data=text[len(head) + 1 :]) if head.lower().endswith(_BASE64) else ImageData()
    if "://" in head[:100]:
        return ImageData(url=text)
    return ImageData(data=text)
