"""Sanitizes a provider's events: names, citations and finish reasons are bounded and contain no keys.

The answer, its reasoning and the arguments of tool calls are the model's text, which is never changed.
"""

import logging
from collections.abc import Sequence

import msgspec

from ..core.events import Citation, Completed, Delta, ToolCall
from .errors import ErrorBuilder
from .finish_reasons import finish_word
from .port import ImageData, ProviderEvent

MAX_CITATIONS = 1_000  # of an answer; others are left out
MAX_CALLS = 1_000  # of an answer
MAX_ARGUMENTS = 16 * 1024 * 1024  # characters, of all calls of an answer
URL_LENGTH = 8_192  # characters; a longer URL is left out, since a cut one would lead elsewhere
TITLE_LENGTH = 500  # characters

log = logging.getLogger(__name__)


def too_many_arguments() -> str:
    """Return the error details for tool calls with more than MAX_ARGUMENTS."""
    return f"Its tool calls have more than {MAX_ARGUMENTS >> 20} MiB of arguments."


class Sanitizer:
    """Sanitizes one answer, batch by batch."""

    def __init__(self, provider: str, errors: ErrorBuilder) -> None:
        self._provider = provider
        self._errors = errors
        self._citations = 0
        self._calls = 0
        self._arguments = 0

    def sanitized(self, batch: Sequence[ProviderEvent]) -> Sequence[ProviderEvent]:
        """Return a batch's events; raise ProviderError (``answer_too_long``) for too many or too long tool calls."""
        if all(type(item) is Delta for item in batch):  # nearly always
            return batch
        return [event for item in batch if (event := self._sanitized(item)) is not None]

    def _sanitized(self, item: ProviderEvent) -> ProviderEvent | None:
        match item:
            case Citation():
                return self._citation(item)
            case ToolCall():
                self._calls += 1
                if self._calls > MAX_CALLS:
                    raise self._errors.error("answer_too_long", f"It has more than {MAX_CALLS:,} tool calls.")
                self._arguments += len(item.arguments)
                if self._arguments > MAX_ARGUMENTS:
                    raise self._errors.error("answer_too_long", too_many_arguments())
                id, name = self._errors.label(item.id), self._errors.label(item.name)
                return msgspec.structs.replace(item, id=id, name=name)
            case ImageData(url=url) if url:
                return ImageData(url=self._errors.label(url, URL_LENGTH) if len(url) <= URL_LENGTH else "")
            case Completed():
                word = finish_word(item.finish_reason)
                if word != item.finish_reason:
                    log.debug("%s ends an answer with %r", self._provider, self._errors.label(item.finish_reason))
                return msgspec.structs.replace(item, finish_reason=word)
        return item

    def _citation(self, citation: Citation) -> Citation | None:
        self._citations += 1
        if self._citations > MAX_CITATIONS or len(citation.url) > URL_LENGTH:
            return None
        url = self._errors.label(citation.url, URL_LENGTH)
        return msgspec.structs.replace(citation, url=url, title=self._errors.label(citation.title, TITLE_LENGTH))
