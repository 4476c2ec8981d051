"""The messages of a conversation: roles, parts with their files, and tool calls."""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from .events import MediaType

Role = Literal["system", "developer", "user", "assistant", "tool"]
AudioType = Literal["audio/wav", "audio/mpeg"]

PDF = "application/pdf"
FILE_TYPE = (  # PDF or text
    r"application/pdf|text/[A-Za-z0-9.+-]{1,60}"
    r"|application/(?:json|jsonl|ndjson|x-ndjson|xml|yaml|x-yaml|toml|sql|javascript|typescript|x-python|x-sh|x-tex)"
    r"|application/[A-Za-z0-9.-]{1,60}\+(?:json|xml)"
)
FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_FENCES = re.compile(r"`{3,}")


class CacheControl(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A marker: the prompt may be cached up to here."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None  # None: the provider's default


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
    """Text of a message."""

    text: str


class ImagePart(_Part, frozen=True, kw_only=True, tag="image"):
    """An image of a message."""

    media_type: MediaType
    data: bytes  # base64 in JSON

    @property
    def url(self) -> str:
        """The image as a ``data:`` URL."""
        return _data_url(self.media_type, self.data)


class FilePart(_Part, frozen=True, kw_only=True, tag="file"):
    """A PDF or a text file of a message."""

    media_type: Annotated[str, msgspec.Meta(max_length=100)]  # see FILE_TYPE
    name: FileName
    data: bytes  # base64 in JSON; text in UTF-8

    @property
    def is_pdf(self) -> bool:
        """Whether it is a PDF; all other files are text."""
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
        """A text file's name and content as fenced text, for providers that do not accept files.

        The fence has more backticks than any run in the content, so that the content cannot close it.
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
    """A tool call that the model requested."""

    id: str
    name: str
    arguments: str = ""  # a JSON object, as the model wrote it; "" has none


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One message of a conversation."""

    role: Role
    content: str | tuple[Part, ...]
    tool_calls: tuple[FunctionCall, ...] = ()  # for the role assistant
    tool_call_id: str | None = None  # for the role tool: the call that this is the result of

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts."""
        return (TextPart(text=self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The text, without images and files."""
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def text_with_files(self) -> str:
        """The text and the text files, in order."""
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(_texts(self.content))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The images."""
        return tuple(part for part in self.attachments if isinstance(part, ImagePart))

    @property
    def attachments(self) -> tuple[ImagePart | FilePart | AudioPart, ...]:
        """The parts that are not text."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if not isinstance(part, TextPart))


def _texts(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, TextPart):
            yield part.text
        elif isinstance(part, FilePart) and not part.is_pdf:
            yield part.as_text


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"
