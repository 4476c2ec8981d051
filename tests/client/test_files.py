"""Files as input of a prompt: their types, and the errors for files that cannot be sent."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from client.conftest import Kernel

from jupyter_bgstream.client import File, InvalidRequestError, file_inputs, submit
from jupyter_bgstream.client.prompt_body import content_of, request_of
from jupyter_bgstream.core.attachment_checks import MAX_FILE_BYTES
from jupyter_bgstream.core.events import ToolCall
from jupyter_bgstream.core.messages import FILE_TYPE
from jupyter_bgstream.testing import ThreadedProvider

PDF = b"%PDF-1.7\n\xff and pages"
PNG = b"\x89PNG\r\n\x1a\n and pixels"
WAV = b"RIFF....WAVEfmt "


@pytest.mark.parametrize(
    ("name", "content", "type_", "media_type"),
    [
        ("report.pdf", PDF, "file", "application/pdf"),
        ("report.txt", PDF, "file", "application/pdf"),  # its content says what it is
        ("late.pdf", b"\n\n" + PDF, "file", "application/pdf"),
        ("notes", "Grüezi".encode(), "file", "text/plain"),
        ("about.txt", b"A PDF begins with %PDF-1.7.", "file", "text/plain"),
        ("rates.csv", b"a,b\n", "file", "text/csv"),
        ("data.json", b"{}", "file", "application/json"),
        ("code.py", b"x = 1\n", "file", "text/x-python"),
        ("code.ts", b"let x = 1\n", "file", "text/plain"),
        ("drawing.svg", b"<svg/>", "file", "text/plain"),
        ("cat", PNG, "image", "image/png"),
        ("talk.wav", WAV, "audio", "audio/wav"),
        ("talk.mp3", b"ID3\4\0", "audio", "audio/mpeg"),
    ],
)
def test_type_of_file_follows_content_and_name(
    tmp_path: Path, name: str, content: bytes, type_: str, media_type: str
) -> None:
    (tmp_path / name).write_bytes(content)
    for file in (File(tmp_path / name), File(str(tmp_path / name)), File(content, name=name)):
        part = file.part()
        assert (part["type"], part["media_type"]) == (type_, media_type)
        assert part.get("name") == (name if type_ == "file" else None)
        assert b64decode(part["data"]) == content


def test_server_accepts_every_text_type() -> None:
    assert [kind for kind in file_inputs._TEXT_TYPES.values() if not re.fullmatch(FILE_TYPE, kind)] == []


def test_file_has_given_or_default_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    assert File(tmp_path / "a.txt", name="b.txt").name == "b.txt"
    assert File(b"x").name == "file.txt"
    assert File(PDF).name == "file.pdf"
    assert File(b"x", name="n" * 300 + ".txt").name == "n" * 196 + ".txt"
    assert repr(File(b"x", name="a\x1bb")) == "<File a\\x1bb text/plain 1 bytes>"
    assert repr(File(b"a,b\n", name="rates.csv")) == "<File rates.csv text/csv 4 bytes>"


def test_invalid_file_is_refused_with_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"Gr\xfcezi")
    (tmp_path / "zip.docx").write_bytes(b"PK\3\4\0\0")
    (tmp_path / "false.pdf").write_bytes(b"not at all")
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(MAX_FILE_BYTES + 1)
    for source, words in (
        (tmp_path / "empty.txt", "The file 'empty.txt' is empty."),
        (
            tmp_path / "latin.txt",
            "The file 'latin.txt' is not text in UTF-8 (byte 2): save it as UTF-8, or send a PDF.",
        ),
        (
            tmp_path / "zip.docx",
            "The file 'zip.docx' has a type that models do not take. Convert it to one of: PDF, ",
        ),
        (tmp_path / "false.pdf", "The file 'false.pdf' has a type that models do not take"),
        (tmp_path / "large.csv", "large.csv' has 20.0 MiB; the limit is 20 MiB. Make it smaller."),
        (tmp_path / "missing.csv", "missing.csv': No such file or directory."),
        (tmp_path, "is a folder. Use the path of a file in it."),
        ("https://a.example/report.pdf", "is a URL. Download the file and use its path."),
        (7, "A file must be a path, or bytes with a name, not a int."),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            File(source)  # type: ignore[arg-type]
        assert words in caught.value.message
        assert caught.value.field == "files"


def test_message_content_becomes_parts(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_bytes(b"a,b\n")
    file, path, image = content_of([File(PDF, name="a.pdf"), tmp_path / "rates.csv", PNG])
    assert isinstance(file, dict)
    assert (file["type"], file["name"]) == ("file", "a.pdf")
    assert isinstance(path, dict)
    assert (path["type"], path["name"]) == ("file", "rates.csv")
    assert isinstance(image, dict)
    assert image["type"] == "image"


def test_tool_calls_of_job_can_be_sent_again() -> None:
    call = ToolCall(id="a", name="look", arguments="{}")
    asked = request_of([{"role": "assistant", "content": None, "tool_calls": (call,)}])
    assert asked == {
        "messages": [
            {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "name": "look", "arguments": "{}"}]}
        ]
    }


@pytest.mark.usefixtures("script")
class TestSubmit:
    def test_files_and_images_are_sent_before_prompt(self, provider: ThreadedProvider, tmp_path: Path) -> None:
        (tmp_path / "report.pdf").write_bytes(PDF)
        files = [tmp_path / "report.pdf", File(b"a,b\n", name="rates.csv"), File(WAV)]
        job = submit("What is this?", files=files, images=PNG)
        assert job.result(60) == "Hello, world"
        (user,) = provider.requests[-1].json["messages"]
        kinds = [part["type"] for part in user["content"]]
        assert kinds == ["file", "text", "input_audio", "image_url", "text"]
        assert user["content"][1]["text"] == "File rates.csv:\n\n```\na,b\n```"
        assert [part.get("name") for part in job.messages[0]["content"]] == [
            "report.pdf",
            "rates.csv",
            None,
            None,
            None,
        ]

    def test_single_file_needs_no_list(self, provider: ThreadedProvider) -> None:
        submit("What is this?", files=File(b"x", name="a.txt")).result(60)
        assert len(provider.requests[-1].json["messages"][0]["content"]) == 2

    def test_files_are_refused_with_message_list(self) -> None:
        with pytest.raises(InvalidRequestError, match="files= needs a text prompt"):
            submit([{"role": "user", "content": "x"}], files=[File(b"x")])


class TestMagic:
    @pytest.fixture(autouse=True)
    def folder(self, kernel: Kernel, tmp_path: Path) -> Path:
        (tmp_path / "report.pdf").write_bytes(PDF)
        (tmp_path / "two words.txt").write_bytes(b"Gr\xc3\xbcezi")
        (tmp_path / "zip.docx").write_bytes(b"PK\3\4\0\0")
        (tmp_path / "figures").mkdir()
        (tmp_path / "figures" / "cat.png").write_bytes(PNG)
        (tmp_path / ".hidden").touch()
        kernel.run(f"import os; os.chdir({str(tmp_path)!r}); where = 'figures/cat.png'")
        return tmp_path

    @pytest.mark.usefixtures("script")
    def test_files_are_sent_with_prompt(self, kernel: Kernel, provider: ThreadedProvider) -> None:
        line = "%%bg --name read --file report.pdf --file 'two words.txt' --file $where"
        ran = kernel.run(f"{line}\nWhat is this?")
        assert ran.reply["status"] == "ok", ran.error
        assert kernel.ask("read.result(60)") == "'Hello, world'"
        content: Any = provider.requests[-1].json["messages"][-1]["content"]
        assert [part["type"] for part in content] == ["file", "text", "image_url", "text"]
        assert content[1]["text"] == "File two words.txt:\n\n```\nGrüezi\n```"
        details, _ = kernel.run("%bg show read").bundles
        shown = details["text/plain"]
        assert f"[report.pdf application/pdf, {len(PDF)} bytes]" in shown
        assert "[two words.txt text/plain, 7 bytes]" in shown

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ("--file missing.pdf", "Cannot read the file 'missing.pdf': No such file or directory."),
            ("--file figures", "'figures' is a folder. Use the path of a file in it."),
            ("--file zip.docx", "The file 'zip.docx' has a type that models do not take"),
            ("--file", "%%bg: argument --file: expected one argument. %bg help"),
        ],
    )
    def test_invalid_file_option_is_one_sentence_error(self, kernel: Kernel, options: str, sentence: str) -> None:
        ran = kernel.run(f"%%bg {options}\nx")
        assert ran.reply["status"] == "error"
        assert sentence in ran.error
        assert "Traceback" not in ran.error

    @pytest.mark.parametrize(
        ("fragment", "offered"),
        [
            ("re", ["report.pdf"]),
            ("tw", ["two\\ words.txt"]),
            ("fig", ["figures/"]),
            ("figures/", ["figures/cat.png"]),
            (".hi", [".hidden"]),
        ],
    )
    def test_completion_offers_paths(self, kernel: Kernel, fragment: str, offered: list[str]) -> None:
        found = kernel.complete(f"%%bg --file {fragment}")
        assert [each for each in found if each.startswith("%%bg --file")] == [f"%%bg --file {each}" for each in offered]
        assert ".hidden" not in "".join(kernel.complete("%%bg --file "))
