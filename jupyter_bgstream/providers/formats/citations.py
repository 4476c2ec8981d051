"""The pages that an answer rests on, each once."""

from __future__ import annotations

from typing import Any

from ...core.events import Citation
from ..base import ProviderEvent
from ..sanitize import MOST_SOURCES


class Citations:
    """Knows which pages one answer has named; those beyond MOST_SOURCES are left out."""

    def __init__(self) -> None:
        self._urls: set[str] = set()
        self._titles: set[str] = set()  # of documents without an address

    def add(self, url: Any, title: Any, said: list[ProviderEvent]) -> None:
        """Say a page that was not said before; what is no address is none."""
        if isinstance(url, str) and url and url not in self._urls and len(self._urls) < MOST_SOURCES:
            self._urls.add(url)
            said.append(Citation(url=url, title=title if isinstance(title, str) else ""))

    def add_title(self, title: str, said: list[ProviderEvent]) -> None:
        """Say a document that has a title and no address."""
        if title not in self._titles and len(self._titles) < MOST_SOURCES:
            self._titles.add(title)
            said.append(Citation(url="", title=title))
