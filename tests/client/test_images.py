"""Images as input of a prompt: the accepted objects, and the parts that the provider gets."""

from __future__ import annotations

from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from client.conftest import Kernel

from jupyter_bgstream.client import InvalidRequestError, submit
from jupyter_bgstream.client.image_inputs import image_part
from jupyter_bgstream.client.prompt_body import content_of
from jupyter_bgstream.testing import ThreadedProvider

PNG = b"\x89PNG\r\n\x1a\n and pixels"
JPEG = b"\xff\xd8\xff\xe0 and pixels"
GIF = b"GIF89a and pixels"
WEBP = b"RIFF\x10\0\0\0WEBPVP8 and pixels"


class Figure:
    def savefig(self, file: BytesIO, *, format: str, bbox_inches: str) -> None:
        assert (format, bbox_inches) == ("png", "tight")
        file.write(PNG)


class Axes:
    figure = Figure()


class Opened:
    """A PIL image."""

    mode = "RGB"

    def __init__(self, format: str | None) -> None:
        self.format = format

    def save(self, file: BytesIO, format: str, **how: Any) -> None:
        assert how == ({"quality": "keep"} if self.format == "JPEG" else {})
        file.write({"PNG": PNG, "JPEG": JPEG, "WEBP": WEBP}[format])


class Shown:
    def __init__(self, found: Any) -> None:
        self._found = found

    def _repr_png_(self) -> Any:
        return self._found


class Broken:
    def savefig(self, *args: Any, **how: Any) -> None:
        raise ValueError("no canvas")


@pytest.mark.parametrize(
    ("sample", "kind", "data"),
    [
        (PNG, "png", PNG),
        (bytearray(JPEG), "jpeg", JPEG),
        (memoryview(GIF), "gif", GIF),
        (WEBP, "webp", WEBP),
        (Figure(), "png", PNG),
        (Axes(), "png", PNG),
        (Opened("JPEG"), "jpeg", JPEG),
        (Opened("WEBP"), "webp", WEBP),
        (Opened("TIFF"), "png", PNG),
        (Opened(None), "png", PNG),
        (Shown(PNG), "png", PNG),
        (Shown(b64encode(PNG).decode()), "png", PNG),
        (Shown((PNG, {"width": 3})), "png", PNG),
        ("data:image/whatever;base64," + b64encode(GIF).decode(), "gif", GIF),
    ],
)
def test_image_input_becomes_image_part(sample: Any, kind: str, data: bytes) -> None:
    part = image_part(sample)
    assert (part["type"], part["media_type"]) == ("image", f"image/{kind}")
    assert b64decode(part["data"]) == data


def test_image_file_is_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(JPEG)  # its bytes say what it is, not its name
    for path in (tmp_path / "a.txt", str(tmp_path / "a.txt")):
        assert image_part(path)["media_type"] == "image/jpeg"
    (tmp_path / "text.png").write_bytes(b"not at all")
    for path, words in (
        (tmp_path / "text.png", "text.png' is not an image that models take. Supported types: PNG, JPEG, GIF, WEBP."),
        (tmp_path / "missing.png", "missing.png': No such file or directory."),
        (tmp_path, ": Is a directory."),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            image_part(path)
        assert words in caught.value.message


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (7, "This int is not an image. Use a path, the bytes of a file, a matplotlib figure or a PIL image"),
        (None, "This NoneType is not an image"),
        (Shown(None), "This Shown is not an image"),
        (Shown({"a": 1}), "This Shown is not an image"),
        (b"", "This bytes is not an image that models take"),
        (b"%PDF-1.7", "This bytes is not an image that models take. Supported types: PNG, JPEG, GIF, WEBP."),
        (Broken(), "This Broken could not be converted to an image: ValueError: no canvas"),
        ("https://a.example/cat.png", "is a URL. Download the image and use its path."),
        ("data:image/png;base64,no!", "The data URL of the image is not valid base64."),
        ("a\0b", "Cannot read"),
    ],
)
def test_invalid_image_input_is_refused(sample: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        image_part(sample)
    assert words in caught.value.message
    assert caught.value.field == "images"


def test_matplotlib_figure_and_pil_image_become_png() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert image_part(pyplot.figure())["media_type"] == "image/png"
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    assert image_part(image)["media_type"] == "image/png"


def test_message_content_becomes_parts() -> None:
    given = {"type": "image", "media_type": "image/png", "data": PNG}
    text, made, kept = content_of(["Look:", GIF, given])
    assert text == {"type": "text", "text": "Look:"}
    assert isinstance(made, dict)
    assert made["media_type"] == "image/gif"
    assert kept == given | {"data": b64encode(PNG).decode()}
    assert content_of("as it is") == "as it is"


@pytest.mark.usefixtures("script")
class TestSubmit:
    def sent(self, provider: ThreadedProvider) -> list[dict[str, Any]]:
        return list(provider.requests[-1].json["messages"])

    def test_images_and_system_text_are_sent(self, provider: ThreadedProvider) -> None:
        assert submit("What is this?", images=[Figure(), JPEG], system="Be brief.").result(60) == "Hello, world"
        system, user = self.sent(provider)
        assert system == {"role": "system", "content": "Be brief."}
        first, second, text = user["content"]
        assert first["image_url"]["url"] == f"data:image/png;base64,{b64encode(PNG).decode()}"
        assert second["image_url"]["url"].startswith("data:image/jpeg;base64,")
        assert text == {"type": "text", "text": "What is this?"}

    def test_single_image_needs_no_list(self, provider: ThreadedProvider) -> None:
        submit("What is this?", images=PNG).result(60)
        assert [part["type"] for part in self.sent(provider)[0]["content"]] == ["image_url", "text"]

    def test_images_in_messages_are_sent_as_parts(self, provider: ThreadedProvider) -> None:
        turns = [{"role": "user", "content": ["Look:", GIF]}, {"role": "assistant", "content": "I see."}]
        submit([*turns, {"role": "user", "content": "And now?"}], system="Be brief.").result(60)
        roles = [message["role"] for message in self.sent(provider)]
        assert roles == ["system", "user", "assistant", "user"]
        assert [part["type"] for part in self.sent(provider)[1]["content"]] == ["text", "image_url"]

    def test_invalid_images_argument_is_refused(self, provider: ThreadedProvider, sent: list[str]) -> None:
        with pytest.raises(InvalidRequestError, match="images= needs a text prompt"):
            submit([{"role": "user", "content": "x"}], images=[PNG])
        assert sent == []
        before = len(provider.requests)
        with pytest.raises(InvalidRequestError, match="at most 50 images"):
            submit("x", images=[PNG] * 51)
        assert sent == ["POST jobs"]  # the server refuses it
        assert len(provider.requests) == before


class TestMagic:
    def user(self, provider: ThreadedProvider) -> Any:
        return provider.requests[-1].json["messages"][-1]["content"]

    def test_image_expressions_files_and_params_are_sent(
        self, kernel: Kernel, provider: ThreadedProvider, tmp_path: Path
    ) -> None:
        (tmp_path / "cat.gif").write_bytes(GIF)
        kernel.run(
            f"""
            import os; os.chdir({str(tmp_path)!r})
            class Figure:
                def savefig(self, file, **how): file.write({PNG!r})
            figures = {{"cat": Figure()}}
            """.replace("\n            ", "\n")
        )
        line = """--image "figures['cat']" --image cat.gif --system 'Be brief.' --param max_tokens=5"""
        line += """ --param 'stop=["a b"]'"""
        ran = kernel.run(f"%%bg --name seen {line} --param user=me --param 'odd=a=b' --param top_k=NaN\nWhat is this?")
        assert ran.reply["status"] == "ok", ran.error
        assert kernel.ask("seen.result(60)") == "'Hello, world'"
        sent = provider.requests[-1].json
        assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
        assert [part["type"] for part in self.user(provider)] == ["image_url", "image_url", "text"]
        assert self.user(provider)[1]["image_url"]["url"].startswith("data:image/gif")
        assert {name: sent[name] for name in ("max_tokens", "stop", "user", "odd", "top_k")} == {
            "max_tokens": 5,
            "stop": ["a b"],
            "user": "me",
            "odd": "a=b",
            "top_k": "NaN",
        }

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (
                "--image nowhere.png",
                "--image nowhere.png is neither an existing file nor a valid expression: NameError: name 'nowhere'",
            ),
            (
                "--image 'a b'",
                "--image a b is neither an existing file nor a valid expression: SyntaxError: invalid",
            ),
            ("--image 1/0", "neither an existing file nor a valid expression: ZeroDivisionError: division by zero."),
            ("--image 7", "This int is not an image. Use a path"),
            ("--param x", "%%bg: argument --param: 'x' is not NAME=VALUE. %bg help"),
            ("--param api_key=sk-1", "params may not hold api_key: keys, addresses and headers belong in"),
        ],
    )
    def test_invalid_option_is_one_sentence_error(self, kernel: Kernel, options: str, sentence: str) -> None:
        ran = kernel.run(f"%%bg {options}\nx")
        assert ran.reply["status"] == "error"
        assert sentence in ran.error
        assert "Traceback" not in ran.error
        assert ran.error.count("\n") == 0
