"""What a service says beside its answer is bounded, and without keys, before anybody else sees it.

The answer itself, its reasoning and the arguments of tool calls are the model's words, which are never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from ..core.events import Citation, Completed, Delta, ToolCall
from .base import ImageData, ProviderEvent
from .errors import ErrorBuilder
from .finish_reasons import finish_word

MOST_SOURCES = 1_000  # of an answer; more are left out
MOST_CALLS = 1_000  # of an answer
MOST_ARGUMENTS = 16 * 1024 * 1024  # characters, of all calls of an answer
URL_LENGTH = 8_192  # characters; a longer one is left out: cut, it would lead elsewhere
TITLE_LENGTH = 500  # characters

log = logging.getLogger(__name__)


def too_many_arguments() -> str:
    """Return the sentence for tool calls with more than MOST_ARGUMENTS."""
    return f"The tools that it asks for have more than {MOST_ARGUMENTS >> 20} MiB of arguments."


class Sanitizer:
    """Sees one answer, batch by batch."""

    def __init__(self, provider: str, errors: ErrorBuilder) -> None:
        self._provider = provider
        self._errors = errors
        self._sources = 0
        self._calls = 0
        self._arguments = 0

    def passed(self, said: Sequence[ProviderEvent]) -> Sequence[ProviderEvent]:
        """Return what may be said; raises ProviderError (``answer_too_long``) for too many or too long tool calls."""
        if all(type(item) is Delta for item in said):  # nearly always
            return said
        return [seen for item in said if (seen := self._seen(item)) is not None]

    def _seen(self, item: ProviderEvent) -> ProviderEvent | None:
        match item:
            case Citation():
                return self._source(item)
            case ToolCall():
                self._calls += 1
                if self._calls > MOST_CALLS:
                    raise self._errors.error("answer_too_long", f"It asks for more than {MOST_CALLS:,} tools.")
                self._arguments += len(item.arguments)
                if self._arguments > MOST_ARGUMENTS:
                    raise self._errors.error("answer_too_long", too_many_arguments())
                id, name = self._errors.label(item.id), self._errors.label(item.name)
                return msgspec.structs.replace(item, id=id, name=name)
            case ImageData(url=url) if url:
                shown = self._errors.label(url, URL_LENGTH) if len(url) <= URL_LENGTH else ""
                return ImageData(url=shown)
            case Completed():
                word = finish_word(item.finish_reason)
                if word != item.finish_reason:
                    log.debug("%s ends an answer with %r", self._provider, self._errors.label(item.finish_reason))
                return msgspec.structs.replace(item, finish_reason=word)
        return item

    def _source(self, source: Citation) -> Citation | None:
        self._sources += 1
        if self._sources > MOST_SOURCES or len(source.url) > URL_LENGTH:
            return None
        url = self._errors.label(source.url, URL_LENGTH)
        return msgspec.structs.replace(source, url=url, title=self._errors.label(source.title, TITLE_LENGTH))
