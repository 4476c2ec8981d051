"""Pictures in an answer, in the ways in which services name them; nothing is decoded or judged here."""

from __future__ import annotations

from typing import Any

from ..base import ImageData

_BASE64 = ";base64"
_LONGEST_HEAD = 1000  # characters of a data URL before its data

# Kinds of parts that are pictures, in formats that give the parts of an answer a type.
KINDS = frozenset({"image_url", "image", "input_image", "output_image"})


def picture_of(found: Any) -> ImageData:
    """Return a picture by its address, a data URL, base64, or an object that holds one of them in a known field.

    What cannot be read is a picture without data, so that the answer says that there was one.
    """
    for _ in range(3):  # {"image_url": {"url": …}}, {"source": {"data": …}}
        if not isinstance(found, dict):
            break
        found = next((found[name] for name in _FIELDS if found.get(name)), None)
    return _by_text(found) if isinstance(found, str) else ImageData()


_FIELDS = ("image_url", "url", "b64_json", "data", "source", "image", "result", "fileUri")


def _by_text(text: str) -> ImageData:
    head, comma, _ = text[:_LONGEST_HEAD].partition(",")
    if head[:5].lower() == "data:" and comma:
        return ImageData(data=text[len(head) + 1 :]) if head.lower().endswith(_BASE64) else ImageData()
    if "://" in head[:100]:
        return ImageData(url=text)
    return ImageData(data=text)
