"""Citations of an answer as text below it in a notebook file.

Titles and addresses are untrusted: in Markdown they are only text, and the target of a link to the web. Golden cases,
shared with ``labextension/src/outputs/citations.ts``:
``tests/golden/bundle.json``.
"""

import re
from collections.abc import Sequence

from ..core.events import Citation

LONGEST = 200  # characters of a title

_WEB = re.compile(r"https?://[^/]", re.IGNORECASE)
_SPACES = re.compile(r"[\s\x00-\x1f\x7f\x85]+")
_MARKUP = re.compile(r"[!#$&()*+<>@\[\\\]^_`{|}~]")  # active in some Markdown
_FIRST = re.compile(r"^[\"'%,./0-9:;=?-]")  # could begin a list or a line
_UNSAFE = re.compile(
    r"[\s\x00-\x20\x7f\x85\"$<>\[\\\]^`{|}]"
)  # not valid unencoded in an address, or active in Markdown


def sources_markdown(sources: Sequence[Citation]) -> str:
    """Return a numbered list of links; "" without sources."""
    items = [f"{number}. {_link(source)}" for number, source in enumerate(sources, 1)]
    return "\n".join(["Sources:\n", *items]) if items else ""


def sources_plain(sources: Sequence[Citation]) -> str:
    """Return a numbered list; "" without sources."""
    items = [f"{number}. {_plain(source)}" for number, source in enumerate(sources, 1)]
    return "\n".join(["Sources:", *items]) if items else ""


def words_markdown(text: str) -> str:
    """Return untrusted text as Markdown without markup, for use within a line."""
    return _MARKUP.sub(_entity, text)


def line_markdown(text: str) -> str:
    """Return untrusted text as Markdown without markup, for use as a line."""
    return _FIRST.sub(_entity, words_markdown(text))


def note_markdown(text: str) -> str:
    """Return a note on an answer, which may contain untrusted text, as a paragraph."""
    return f"*{words_markdown(_SPACES.sub(' ', text).strip())}*"


def words_plain(text: str) -> str:
    """Return text on one line, truncated to LONGEST characters."""
    # Truncated before the substitution, because the text may have megabytes.
    words = _SPACES.sub(" ", text.strip()[: LONGEST + 1]).strip()
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1].rstrip()}…"


def _link(source: Citation) -> str:
    title = _title(source)
    if not _WEB.match(source.url):
        return line_markdown(title)
    address = _UNSAFE.sub(_percent, source.url).replace("&", "&amp;")
    return f"[{words_markdown(title)}](<{address}>)"


def _plain(source: Citation) -> str:
    address = _SPACES.sub(" ", source.url).strip()
    return f"{_title(source)} ({address})" if source.title.strip() and address else _title(source) or address


def _title(source: Citation) -> str:
    return words_plain(source.title.strip() or source.url)


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace"))
