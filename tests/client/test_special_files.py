"""Paths of devices, pipes and links: each is read in bounded memory and time, or refused with a reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from client.conftest import Kernel

from jupyter_bgstream.client import File, InvalidRequestError, submit
from jupyter_bgstream.client.file_reader import read_file
from jupyter_bgstream.client.image_inputs import image_part
from jupyter_bgstream.core.attachment_checks import MAX_IMAGE_BYTES

MEMORY = 2 * 2**30  # bytes of address space


@pytest.fixture
def special(tmp_path: Path) -> Iterator[Path]:
    """A folder with special files, and links to them."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link-to-device.txt").symlink_to("/dev/zero")
    (tmp_path / "link-to-pipe.png").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("missing")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield tmp_path


REFUSED = {
    "/dev/zero": "Not a regular file",
    "/dev/urandom": "Not a regular file",
    "/dev/tty": "",  # where there is no terminal it cannot be opened
    "pipe": "Not a regular file",
    "link-to-device.txt": "Not a regular file",
    "link-to-pipe.png": "Not a regular file",
    "socket": "No such device or address",
    "loop": "Too many levels of symbolic links",
    "nowhere": "No such file or directory",
    "a\0b": "embedded null",
}


@pytest.mark.parametrize("make", [File, image_part], ids=["file", "image"])
@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.timeout(20)
def test_special_file_is_refused(special: Path, make: Callable[[str], object], path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        make(str(special / path))
    assert caught.value.message.startswith("Cannot read the ")
    assert REFUSED[path] in caught.value.message


def test_link_to_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b\n")
    (tmp_path / "link.csv").symlink_to("data.csv")
    file = File(tmp_path / "link.csv")
    assert (file.name, file.media_type, file.data) == ("link.csv", "text/csv", b"a,b\n")


def test_read_stops_one_byte_after_limit(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"x" * 1000)  # a log may grow after its size was read
    assert len(read_file(str(tmp_path / "log.txt"), 10)) == 11


def test_too_large_image_is_refused_before_it_is_sent(tmp_path: Path, sent: list[str]) -> None:
    with (tmp_path / "large.png").open("wb") as large:
        large.write(b"\x89PNG\r\n\x1a\n")
        large.truncate(MAX_IMAGE_BYTES + 1)
    with pytest.raises(InvalidRequestError, match=r"large\.png' has more than 10 MiB\. Make it smaller\."):
        submit("What is this?", images=[tmp_path / "large.png"])
    assert sent == []


LIMITED = """
import resource, sys
from jupyter_bgstream.client import File, InvalidRequestError
from jupyter_bgstream.client.image_inputs import image_part
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
for make in (File, image_part):
    try:
        make(sys.argv[1])
    except InvalidRequestError as error:
        print(error.message)
"""


def test_sparse_terabyte_file_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as huge:
        huge.truncate(2**40)
    command = [sys.executable, "-c", LIMITED.format(memory=MEMORY), str(tmp_path / "huge.txt")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert [line.partition(" has ")[2] for line in printed.splitlines()] == [
        "1048576.0 MiB; the limit is 20 MiB. Make it smaller.",
        "more than 10 MiB. Make it smaller.",
    ]


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
@pytest.mark.timeout(60)
def test_magic_refuses_special_file_with_reason(kernel: Kernel, special: Path, path: str) -> None:
    before = kernel.rest.get("api/bgstream/jobs").json()
    ran = kernel.run(f"%%bg --file {special / path}\nx")
    assert kernel.rest.get("api/bgstream/jobs").json() == before
    assert ran.reply["status"] == "error"
    assert ": Not a regular file." in ran.error
    assert "Traceback" not in ran.error
