"""Images of an answer: which are kept, and the line in the text for each."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from engine.conftest import LIMITS, OWNER, Puppet, ended, shown, spec
from store.model import MemoryStore

from jupyter_bgstream.core.errors import BgStreamError, NotFoundError, UnavailableError
from jupyter_bgstream.core.events import Delta, Image, ToolCall
from jupyter_bgstream.core.image_files import size_words
from jupyter_bgstream.core.state import Answer
from jupyter_bgstream.engine import image_collector as image_decoding
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.image_collector import ImageCollector, decode_base64
from jupyter_bgstream.providers.port import ImageData, ProviderEvent, Resume
from jupyter_bgstream.store.port_values import Append

FILES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
}
PNG = FILES["image/png"] + bytes(range(256)) * 4
NO_IMAGE = "it is not a PNG, JPEG, GIF or WebP file."


def base64(file: bytes) -> str:
    return b64encode(file).decode()


def text(words: str) -> Delta:
    return Delta(channel="text", text=words)


async def taken(
    *batches: list[ProviderEvent], max_bytes: int = 1 << 30, **more: Any
) -> tuple[str, list[Image], list[bytes]]:
    """The text, the images and their files that come of an answer."""
    seen = ImageCollector(2, max_bytes=max_bytes, **more)
    events: list[Any] = []
    files: dict[str, bytes] = {}
    for batch in batches:
        found = await seen.extract(batch)
        events += found.events
        files |= found.files
    images = [event for event in events if isinstance(event, Image)]
    assert [image.id for image in images] == list(files)
    words = "".join(event.text for event in events if isinstance(event, Delta))
    return words, images, list(files.values())


@pytest.mark.parametrize("media_type", FILES)
async def test_image_type_is_detected_from_content(media_type: str) -> None:
    file = FILES[media_type] + b"<script>alert(1)</script>"  # and something else besides
    words, (image,), (kept,) = await taken([ImageData(data=base64(file))])
    name = {"image/webp": "WebP"}.get(media_type, media_type.partition("/")[2].upper())
    assert words == f"(Picture 1: {name}, {len(file)} bytes)"
    assert image == Image(id="2-1", media_type=media_type, bytes=len(file))  # type: ignore[arg-type]
    assert kept == file


@pytest.mark.parametrize(
    "file",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html>",
        b"%PDF-1.7",
        b"II*\0",
        b"RIFF\0\0\0\0WAVE",
        b"\0" * 20,
        b"GIF",
        b"x",
    ],
)
async def test_file_of_another_type_is_not_kept_and_text_contains_reason(file: bytes) -> None:
    words, images, _ = await taken([text("Here:"), ImageData(data=base64(file)), text("Done.")])
    assert words == f"Here:\n\n(Picture 1 is not kept: {NO_IMAGE})\n\nDone."
    assert images == []


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (ImageData(), "Picture 1 is not kept: it has no data that can be read."),
        (ImageData(is_cut=True), "Picture 1 is not kept: it came in an event that is too large."),
        (ImageData(data=base64(PNG) + "!"), "Picture 1 is not kept: its base64 is broken."),
        (ImageData(data=base64(PNG)[:-5] + "é===="), "Picture 1 is not kept: its base64 is broken."),
        (ImageData(data=base64(PNG)[:41]), "Picture 1 is not kept: its base64 is broken."),
        (ImageData(data="\ud83d" * 100), f"Picture 1 is not kept: {NO_IMAGE}"),
        (ImageData(data="A" * 100), f"Picture 1 is not kept: {NO_IMAGE}"),
        (ImageData(url="https://a.example/1.png"), "Picture 1 is at https://a.example/1.png, which is not fetched."),
        (
            ImageData(url="https://a.example/?a=1&b=[x](javascript:y) *<b>`"),
            "Picture 1 is at https://a.example/?a=1&b=%5Bx%5D(javascript:y)%20%2A%3Cb%3E%60, which is not fetched.",
        ),
        (ImageData(url="gs://bucket/1.png"), "Picture 1 is not kept: its address is not of http or https."),
        (ImageData(url="javascript://a%0aalert(1)"), "Picture 1 is not kept: its address is not of http or https."),
    ],
)
async def test_dropped_image_is_replaced_by_its_reason(sample: ImageData, words: str) -> None:
    assert (await taken([sample]))[:2] == (f"({words})", [])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 200_000, 786_432])
def test_base64_variants_of_services_are_decoded(size: int) -> None:
    file = (PNG * (1 + size // len(PNG)))[: size + 12]
    plain = base64(file)
    for form in (
        plain,
        plain.rstrip("="),
        urlsafe_b64encode(file).decode(),
        encodebytes(file).decode(),
        encodebytes(file).decode().replace("\n", "\r\n"),
        f" {plain} ",
    ):
        assert decode_base64(form) == file


@pytest.mark.parametrize("text", ["=", "A", "AB=C", "AAAA=AAA", "AAA=AAAA", "AA==AA==", "AA*A", "AAAé"])
def test_broken_base64_decodes_to_none(text: str) -> None:
    assert decode_base64(text) is None


def test_padding_ends_base64_at_any_piece_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoding, "_PIECE", 4)
    assert decode_base64("AAA=") == b"\0\0"
    assert decode_base64("AAA=AAAA") is None


async def test_images_are_numbered_in_order_of_answer() -> None:
    batches: list[list[ProviderEvent]] = [
        [Delta(channel="reasoning", text="Hm."), text("One: ")],
        [ImageData(data=base64(PNG)), ImageData(data="AAAA")],
        [ToolCall(id="1", name="x", arguments=""), text("Next"), text(" word\n")],
        [ImageData(data=base64(FILES["image/gif"]))],
        [text("\n\nThe end.")],
    ]
    words, images, _ = await taken(*batches)
    assert words == (
        "Hm.One: \n\n(Picture 1: PNG, 1.0 kB)"
        f"\n\n(Picture 2 is not kept: {NO_IMAGE})"
        "\n\nNext word\n\n(Picture 3: GIF, 6 bytes)\n\nThe end."
    )
    assert [image.id for image in images] == ["2-1", "2-3"]


async def test_answer_without_images_is_unchanged() -> None:
    batch: list[ProviderEvent] = [text("a"), text("\n"), Delta(channel="reasoning", text="b"), Resume(token="t")]
    assert (await ImageCollector(1, max_bytes=0).extract(batch)).events == batch


async def test_resume_token_follows_text_that_it_covers() -> None:
    found = await ImageCollector(1, max_bytes=1 << 30).extract([ImageData(data=base64(PNG)), Resume(token="t")])
    assert [type(event) for event in found.events] == [Delta, Image, Resume]


async def test_limits_are_reported_and_later_smaller_images_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoding, "MAX_BYTES", 5000)
    batch: list[ProviderEvent] = [
        ImageData(data=base64(PNG.ljust(size))) for size in (5000, 5003, 2000, 1500, 1000, 501)
    ]
    words, images, _ = await taken(batch, max_bytes=8500)
    assert [image.bytes for image in images] == [5000, 2000, 1500]
    assert words.split("\n\n") == [
        "(Picture 1: PNG, 5.0 kB)",
        "(Picture 2 is not kept: it has 5.0 kB, more than 5.0 kB.)",
        "(Picture 3: PNG, 2.0 kB)",
        "(Picture 4: PNG, 1.5 kB)",
        "(Picture 5 is not kept: it has 1.0 kB, more than 0 bytes that are left of max_image_bytes.)",
        "(Picture 6 is not kept: it has 1.0 kB, more than 0 bytes that are left of max_image_bytes.)",
    ]


async def test_number_of_images_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoding, "MAX_IMAGES", 2)
    words, images, _ = await taken([ImageData(data=base64(PNG)) for _ in range(3)])
    assert len(images) == 2
    assert words.endswith("(Picture 3 is not kept: an answer has at most 2.)")


async def test_resumed_attempt_continues_image_count_and_size() -> None:
    image = Image(id="2-3", media_type="image/png", bytes=900)
    before = Answer(text="(Picture 3: PNG, 900 bytes)", images=(image,))
    words, images, _ = await taken([ImageData(data=base64(PNG))], before=before, max_bytes=1900)
    assert words == "\n\n(Picture 4 is not kept: it has 1.0 kB, more than 1.0 kB that are left of max_image_bytes.)"
    words, images, _ = await taken([ImageData(data=base64(PNG))], before=before)
    assert [image.id for image in images] == ["2-4"]


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (12_345, "12.3 kB"), (999_950, "1.0 MB"), (41_200_000, "41.2 MB")],
)
def test_sizes_are_formatted_with_decimal_units(size: int, words: str) -> None:
    assert size_words(size) == words


async def test_images_are_stored_with_their_answer(engine: Engine, store: MemoryStore, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say_all(ImageData(data=base64(PNG))).finish()
    assert (await ended(engine, job.id)).preview == "(Picture 1: PNG, 1.0 kB)"
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert answer.text == "(Picture 1: PNG, 1.0 kB)"
    assert [image.id for image in answer.images] == ["1-1"]
    stored = await engine.jobs.image(OWNER, job.id, "1-1")
    assert await engine.jobs.image_chunk(stored, 0) == PNG
    with pytest.raises(NotFoundError):
        await engine.jobs.image("bob", job.id, "1-1")


async def test_images_do_not_count_as_text(puppet: Puppet) -> None:
    limits = msgspec.structs.replace(LIMITS, max_answer_bytes=1000)
    engine = Engine(store=MemoryStore(server="here"), providers=puppet, server="here", limits=limits)
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say_all(ImageData(data=base64(PNG * 100))).finish()
    assert (await ended(engine, job.id)).status == "completed"
    await engine.close()


async def test_image_that_cannot_be_stored_fails_its_job(
    engine: Engine, store: MemoryStore, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.append

    async def full(appends: Sequence[Append]) -> list[int | BgStreamError]:
        if appends[0].files:
            raise UnavailableError("The disk is full.")
        return await real(appends)

    monkeypatch.setattr(store, "append", full)
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()
    call.say_all(text("Here:"))
    await shown(engine, job.id, "Here:")
    call.say_all(ImageData(data=base64(PNG))).finish()
    now = await ended(engine, job.id)
    assert now.error is not None
    assert now.error.code == "not_stored"
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (answer.text, answer.images) == ("Here:", ())


async def test_new_attempt_starts_without_images(store: MemoryStore) -> None:
    events: list[list[ProviderEvent]] = [[ImageData(data=base64(PNG))]]
    first, second = ImageCollector(1, max_bytes=2000), ImageCollector(2, max_bytes=2000)
    ids = [
        [event.id for event in (await seen.extract(events[0])).events if isinstance(event, Image)]
        for seen in (first, second)
    ]
    assert ids == [["1-1"], ["2-1"]]


async def test_image_is_decoded_outside_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding, loop_ran = threading.Event(), threading.Event()

    def decode(text: str) -> bytes | None:
        decoding.set()
        return decode_base64(text) if loop_ran.wait(60) else None

    monkeypatch.setattr(image_decoding, "decode_base64", decode)
    extracting = asyncio.create_task(taken([ImageData(data=base64(PNG))]))
    await asyncio.to_thread(decoding.wait, 60)
    loop_ran.set()
    _, _, files = await extracting
    assert files == [PNG]
