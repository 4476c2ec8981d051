"""Images in a notebook file: bounded, and harmless to every reader."""

from __future__ import annotations

import re
from base64 import b64decode

import pytest
from client.test_bundle import by_mistune, by_nbconvert

from jupyter_bgstream.core.events import Image
from jupyter_bgstream.core.image_files import size_words
from jupyter_bgstream.core.state import Answer
from jupyter_bgstream.outputs.images import IMAGE_LIMIT, OUTPUT_LIMIT, lacks_images
from jupyter_bgstream.outputs.mimebundle import OutputSnapshot, bundle, bundle_of_several

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPgPAAEDAQAIicLsAAAAAElFTkSuQmCC")


def png(number: int, size: int = len(PNG)) -> Image:
    return Image(seq=number, id=f"1-{number}", media_type="image/png", bytes=size)


def shown(text: str, *sizes: int, id: str = "j1") -> OutputSnapshot:
    images = tuple(png(number, size) for number, size in enumerate(sizes, 1))
    files = {image.id: PNG.ljust(image.bytes, b"\0") for image in images}
    return OutputSnapshot(
        id, "p/m", "c", Answer(status="completed", finish_reason="stop", text=text, images=images), files
    )


def test_images_of_one_output_share_a_limit() -> None:
    jobs = [shown("x", IMAGE_LIMIT, IMAGE_LIMIT, IMAGE_LIMIT, id=f"j{number}") for number in (1, 2)]
    markdown = bundle_of_several(jobs)["text/markdown"]
    assert markdown.count("data:image/png") == OUTPUT_LIMIT // IMAGE_LIMIT
    assert len(markdown) < OUTPUT_LIMIT * 4 / 3 + 2000
    assert re.findall(r"images&#91;(\d)&#93;", markdown) == ["1", "2"]
    assert not lacks_images(markdown)


def test_output_without_image_data_lacks_images() -> None:
    job = shown("x", 70)._replace(files={})
    assert lacks_images(bundle(job)["text/markdown"])
    assert not lacks_images(bundle(shown("x", 70))["text/markdown"])


@pytest.mark.parametrize("parser", [by_nbconvert, by_mistune])
@pytest.mark.parametrize(
    "text", ["Here.", "```\nx", "> ```\n> x", "- a\n- b", "[", "$$", "<!--", "a\n: b", "| a |\n|--"]
)
def test_image_is_rendered_below_any_text(text: str, parser: object) -> None:
    html = parser(bundle(shown(text, 70))["text/markdown"])  # type: ignore[operator]
    assert re.findall(r'<img src="(data:image/png;base64,)[^"]*" alt="Picture 1" ?/?>', html), html


def test_code_of_too_costly_text_contains_no_image() -> None:
    markdown = bundle(shown("*a* " * 200_000, 70))["text/markdown"]
    assert "data:" not in markdown.split("```")[1]


def test_plain_text_has_no_image_data() -> None:
    assert bundle(shown("(Picture 1: PNG, 70 bytes)", 70))["text/plain"] == "(Picture 1: PNG, 70 bytes)"


def test_sizes_are_formatted_with_units() -> None:
    sizes = [0, 999, 1000, 1049, 1050, 12_250, 999_949, 999_950, 20_000_000]
    assert list(map(size_words, sizes)) == [
        "0 bytes", "999 bytes", "1.0 kB", "1.0 kB", "1.1 kB", "12.3 kB", "999.9 kB", "1.0 MB", "20.0 MB",
    ]  # fmt: skip
