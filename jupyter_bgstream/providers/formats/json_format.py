"""Base class of wire formats, with what most of them have in common."""

from __future__ import annotations

from typing import Any

from ...core.messages import Part
from .conversation import unsupported_part
from .format_types import Request


class JsonFormat:
    """Format with requests in JSON; a subclass has ``request`` and ``decoder``."""

    name: str
    title: str
    media_type = "text/event-stream"
    models = Request(path="/models")
    pdf = False  # accepts PDF files
    audio = False  # accepts audio

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {key}"}

    def unsupported(self, part: Part) -> str | None:
        """Return why a message part cannot be sent; None if it can."""
        return unsupported_part(part, self.title, pdf=self.pdf, audio=self.audio)

    def model_names(self, listing: Any) -> list[str]:
        """Return the names in ``{"data": [{"id": …}]}``; some services omit the envelope."""
        items = listing.get("data") if isinstance(listing, dict) else listing
        found = [item.get("id") for item in list_of(items) if isinstance(item, dict)]
        return sorted(name for name in found if isinstance(name, str))


def list_of(value: Any) -> list[Any]:
    """Return a value if it is a list, otherwise an empty list."""
    return value if isinstance(value, list) else []
