"""Citations of an answer, each page once."""

from typing import Any

from ...core.events import Citation
from ..event_limits import MAX_CITATIONS
from ..port import ProviderEvent


class Citations:
    """The pages that one answer has cited so far; those beyond MAX_CITATIONS are left out."""

    def __init__(self) -> None:
        self._urls: set[str] = set()
        self._titles: set[str] = set()  # of documents without a URL

    def add(self, url: Any, title: Any, events: list[ProviderEvent]) -> None:
        """Append a citation of a page, unless it was cited before; ignore an invalid URL."""
        if isinstance(url, str) and url and url not in self._urls and len(self._urls) < MAX_CITATIONS:
            self._urls.add(url)
            events.append(Citation(url=url, title=title if isinstance(title, str) else ""))

    def add_title(self, title: str, events: list[ProviderEvent]) -> None:
        """Append a citation of a document that has a title and no URL."""
        if title not in self._titles and len(self._titles) < MAX_CITATIONS:
            self._titles.add(title)
            events.append(Citation(url="", title=title))
