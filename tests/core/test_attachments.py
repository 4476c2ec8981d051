"""Files and recordings of a job: their place, size and content."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jupyter_bgstream.core.attachment_checks import MAX_FILE_BYTES, MAX_FILES
from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.job import JobSpec
from jupyter_bgstream.core.messages import AudioPart, CacheControl, FilePart, Message, TextPart
from jupyter_bgstream.core.request_checks import check_spec
from jupyter_bgstream.core.schemas.convert import message_info

PDF = FilePart(media_type="application/pdf", name="report.pdf", data=b"%PDF-1.7\n\xff")
NOTES = FilePart(media_type="text/plain", name="notes.txt", data="Grüezi\n".encode())
WAV = AudioPart(media_type="audio/wav", data=b"RIFF\0\0\0\0WAVEfmt ")
MP3 = AudioPart(media_type="audio/mpeg", data=b"ID3\4\0")
FRAME = AudioPart(media_type="audio/mpeg", data=b"\xff\xfb\x90\x64")


def spec(*parts: Any, role: Any = "user") -> JobSpec:
    return JobSpec(model="a/b", messages=(Message(role=role, content=parts), Message(role="user", content="x")))


def refused(*parts: Any, role: Any = "user") -> tuple[str, str | None]:
    with pytest.raises(InvalidRequestError) as caught:
        check_spec(spec(*parts, role=role))
    return caught.value.message, caught.value.field


@pytest.mark.parametrize("part", [PDF, NOTES, WAV, MP3, FRAME])
def test_file_or_audio_alone_is_valid_prompt(part: Any) -> None:
    check_spec(JobSpec(model="a/b", messages=(Message(role="user", content=(part,)),)))


@pytest.mark.parametrize(
    "media_type",
    ["text/csv", "text/x-python", "application/json", "application/x-ndjson", "application/geo+json"],
)
def test_text_media_types_are_accepted(media_type: str) -> None:
    check_spec(spec(msgspec.structs.replace(NOTES, media_type=media_type)))


@pytest.mark.parametrize(
    ("part", "sentence", "field"),
    [
        (
            FilePart(media_type="application/pdf", name="a.pdf", data=b"MZ"),
            "The file 'a.pdf' is no PDF: it does not begin with %PDF-.",
            "data",
        ),
        (
            FilePart(media_type="text/plain", name="a.txt", data=b"Gr\xfcezi"),
            "The file 'a.txt' is not text in UTF-8 (byte 2): save it as UTF-8, or send a PDF.",
            "data",
        ),
        (
            FilePart(media_type="text/plain", name="a.txt", data=b"a\0b"),
            "The file 'a.txt' is not text: it has NUL characters.",
            "data",
        ),
        (FilePart(media_type="text/plain", name="a.txt", data=b""), "The file 'a.txt' is empty.", "data"),
        (FilePart(media_type="text/plain", name="a\nb", data=b"x"), "The name of a file has no control", "name"),
        (
            FilePart(media_type="application/zip", name="a.zip", data=b"PK"),
            "The file 'a.zip' is 'application/zip': a file is application/pdf or text, such as text/plain or",
            "media_type",
        ),
        (AudioPart(media_type="audio/wav", data=MP3.data), "The recording is not what it is called", "data"),
        (AudioPart(media_type="audio/mpeg", data=b"OggS"), "it is no audio/mpeg.", "data"),
        (
            FilePart(media_type="application/pdf", name="a.pdf", data=b"%PDF-" + b"x" * MAX_FILE_BYTES),
            "The file 'a.pdf' has 20.0 MiB; at most 20 MiB are taken: make it smaller.",
            "data",
        ),
    ],
)
def test_invalid_content_is_refused_with_its_field(part: Any, sentence: str, field: str) -> None:
    message, where = refused(TextPart(text="x"), part)
    assert sentence in message
    assert where == f"messages[0].content[1].{field}"


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_files_are_refused_outside_user_messages(role: str) -> None:
    assert refused(NOTES, role=role) == (
        f"A file belongs in a message of the role user, not {role}.",
        "messages[0].content[0]",
    )
    assert refused(WAV, role=role)[0].startswith("A recording belongs in")


def test_number_of_files_is_limited() -> None:
    check_spec(spec(*[NOTES] * MAX_FILES))
    assert refused(*[NOTES] * MAX_FILES, WAV) == ("A job takes at most 50 files; this one has 51.", "messages")


@pytest.mark.parametrize(
    ("content", "fence"), [("one", "```"), ("```\ncode\n```\n", "````"), ("`````` and ```", "```````"), ("`` x", "```")]
)
def test_text_file_as_text_keeps_name_and_content(content: str, fence: str) -> None:
    part = FilePart(media_type="text/plain", name="a b.md", data=b"\xef\xbb\xbf" + content.encode())
    body = content if content.endswith("\n") else f"{content}\n"
    assert part.as_text == f"File a b.md:\n\n{fence}\n{body}{fence}"


def test_viewers_see_sizes_and_cache_control() -> None:
    mark = CacheControl(type="ephemeral", ttl="1h")
    message = Message(role="user", content=(msgspec.structs.replace(PDF, cache_control=mark), WAV, TextPart(text="x")))
    assert msgspec.json.decode(msgspec.json.encode(message_info(message))) == {
        "role": "user",
        "content": [
            {
                "type": "file",
                "media_type": "application/pdf",
                "name": "report.pdf",
                "bytes": len(PDF.data),
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
            {"type": "audio", "media_type": "audio/wav", "bytes": len(WAV.data)},
            {"type": "text", "text": "x"},
        ],
    }


def test_messages_of_older_versions_are_encoded_unchanged() -> None:
    image = b'{"type":"image","media_type":"image/png","data":"AAAA"}'
    stored = b'{"role":"user","content":[{"type":"text","text":"a"},%b]}' % image
    assert msgspec.json.encode(msgspec.json.decode(stored, type=Message)) == stored
    plain = b'{"role":"assistant","content":""}'
    assert msgspec.json.encode(msgspec.json.decode(plain, type=Message)) == plain
