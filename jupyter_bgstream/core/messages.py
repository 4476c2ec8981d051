"""The messages of a conversation: roles, parts with their files, and calls of tools."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from .events import MediaType

Role = Literal["system", "developer", "user", "assistant", "tool"]
AudioType = Literal["audio/wav", "audio/mpeg"]

PDF = "application/pdf"
FILE_TYPE = (  # a PDF, or some kind of text
    r"application/pdf|text/[A-Za-z0-9.+-]{1,60}"
    r"|application/(?:json|jsonl|ndjson|x-ndjson|xml|yaml|x-yaml|toml|sql|javascript|typescript|x-python|x-sh|x-tex)"
    r"|application/[A-Za-z0-9.-]{1,60}\+(?:json|xml)"
)
FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_FENCES = re.compile(r"`{3,}")


class CacheControl(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A mark: the prompt may be cached up to here."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None  # None: as long as the service keeps it by default


class _Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    cache_control: CacheControl | None = None


class TextPart(_Part, frozen=True, kw_only=True, tag="text"):
    """Words of a message."""

    text: str


class ImagePart(_Part, frozen=True, kw_only=True, tag="image"):
    """A picture of a message."""

    media_type: MediaType
    data: bytes  # base64 in JSON

    @property
    def url(self) -> str:
        """The picture as a ``data:`` URL."""
        return _data_url(self.media_type, self.data)


class FilePart(_Part, frozen=True, kw_only=True, tag="file"):
    """A PDF or a text file of a message."""

    media_type: Annotated[str, msgspec.Meta(max_length=100)]  # see FILE_TYPE
    name: FileName
    data: bytes  # base64 in JSON; of a text in UTF-8

    @property
    def is_pdf(self) -> bool:
        """Whether it is a PDF; all else is text."""
        return self.media_type == PDF

    @property
    def url(self) -> str:
        """The file as a ``data:`` URL."""
        return _data_url(self.media_type, self.data)

    @property
    def text(self) -> str:
        """The content of a text file."""
        return self.data.decode("utf-8-sig", errors="replace")

    @property
    def as_text(self) -> str:
        """A text file's name and content, for services that have no part for it.

        The fence has more backticks than any line of the content, so that the content ends nowhere else.
        """
        text = self.text
        fence = "`" * max(3, 1 + max((len(run) for run in _FENCES.findall(text)), default=0))
        end = "" if text.endswith("\n") else "\n"
        return f"File {self.name}:\n\n{fence}\n{text}{end}{fence}"


class AudioPart(_Part, frozen=True, kw_only=True, tag="audio"):
    """A recording of a message."""

    media_type: AudioType
    data: bytes  # base64 in JSON


Part = TextPart | ImagePart | FilePart | AudioPart


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A call of a tool that the model asked for."""

    id: str
    name: str
    arguments: str = ""  # a JSON object, as the model wrote it; "" has none


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One message of a conversation."""

    role: Role
    content: str | tuple[Part, ...]
    tool_calls: tuple[FunctionCall, ...] = ()  # of an assistant
    tool_call_id: str | None = None  # of a tool: the call whose result this is

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its content as parts."""
        return (TextPart(text=self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """Its own words, without pictures and files."""
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def text_with_files(self) -> str:
        """Its own words and its text files, in order."""
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(_words(self.content))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """Its pictures."""
        return tuple(part for part in self.attachments if isinstance(part, ImagePart))

    @property
    def attachments(self) -> tuple[ImagePart | FilePart | AudioPart, ...]:
        """Its parts that are not its own words."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if not isinstance(part, TextPart))


def _words(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, TextPart):
            yield part.text
        elif isinstance(part, FilePart) and not part.is_pdf:
            yield part.as_text


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"
