"""Images of answers in scripts and kernels: read once, shown, saved, sent in prompts, sent to widgets."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from client.conftest import Kernel
from client.test_embedding import PNG
from client.test_widget import LooseKernel, displayed
from harness.jupyter import Jupyter

from jupyter_bgstream.client import Comparison, job, submit
from jupyter_bgstream.client import batch as batches
from jupyter_bgstream.client.answer_images import AnswerImage
from jupyter_bgstream.client.image_relay import ImageRelay
from jupyter_bgstream.core.errors import NotFoundError
from jupyter_bgstream.outputs.mimebundle import bundle
from jupyter_bgstream.testing import ThreadedProvider, answer

JPEG = b"\xff\xd8\xff\xe0 and pixels"
GIF = b"GIF89a and pixels"
LARGE = PNG.ljust(700_000, b"\0")


@pytest.fixture(autouse=True)
def images(provider: ThreadedProvider) -> None:
    provider.scripts["drawn"] = answer("Here.", images=[PNG, JPEG])
    provider.scripts["only"] = answer("", images=[GIF])


def test_job_has_its_images(script: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = submit("x", model="test/drawn").wait()
    png, jpeg = asked.images
    assert [(each.id, each.media_type, each.bytes) for each in (png, jpeg)] == [
        ("1-1", "image/png", len(PNG)),
        ("1-2", "image/jpeg", len(JPEG)),
    ]
    assert repr([png, jpeg]) == f"[<Picture 1, PNG, {len(PNG)} bytes>, <Picture 2, JPEG, {len(JPEG)} bytes>]"
    assert (png.data, jpeg.data) == (PNG, JPEG)
    assert png._repr_mimebundle_() == {"image/png": b64encode(PNG).decode(), "text/plain": repr(png)}
    assert (png._repr_png_(), png._repr_jpeg_(), jpeg._repr_jpeg_()) == (PNG, None, JPEG)
    assert asked.images[0] is png
    assert job(asked.id).images == [png, jpeg]

    monkeypatch.setenv("HOME", str(tmp_path))
    assert jpeg.save("~/two") == tmp_path / "two.jpg"
    assert png.save(str(tmp_path / "one.dat")).read_bytes() == PNG
    assert jpeg.save(tmp_path / "one.dat").read_bytes() == JPEG
    assert png.save(tmp_path) == tmp_path / "picture-1.png"

    # Data that was read stays; other data is deleted with the job.
    other = job(asked.id).images[0]
    asked.delete()
    assert png.data == PNG
    with pytest.raises(NotFoundError):
        _ = other.data


def test_images_are_available_while_answer_streams(script: None, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("", images=[PNG, GIF], hold_after=1)
    asked = submit("x", model="test/held")
    assert "(Picture 1: PNG" in next(iter(asked))  # the server has stored it with these words
    (png,) = asked.images
    assert png.data == PNG
    assert bundle(asked.snapshot(fresh=True))["text/markdown"].endswith("*Running…*")
    provider.release()
    assert [each.media_type for each in asked.wait().images] == ["image/png", "image/gif"]


def test_display_of_job_has_its_images(script: None) -> None:
    asked = submit("x", model="test/drawn").wait()
    shown = asked._repr_mimebundle_()
    data = b64encode(PNG).decode()
    assert f"\n\n![Picture 1](data:image/png;base64,{data})\n\nPicture 2, JPEG" in shown["text/markdown"]
    assert "base64" not in shown["text/plain"]
    both = Comparison([asked, job(asked.id)])._repr_mimebundle_()
    assert both["text/markdown"].count(data) == 2


def test_answer_image_can_be_sent_in_prompt(script: None, provider: ThreadedProvider) -> None:
    gif = submit("x", model="test/only").wait().images[0]
    assert submit("Which animal is this?", images=[gif], model="test/hello").result() == "Hello, world"
    (request,) = [each for each in provider.asked("hello") if "Which animal" in str(each.body)]
    assert f"data:image/gif;base64,{b64encode(GIF).decode()}" in str(request.body)


def test_row_has_images_and_row_without_text_is_marked(script: None) -> None:
    (drawn,) = batches.map(["x"], "{row}", model="test/drawn").wait()
    assert [each.data for each in drawn.images] == [PNG, JPEG]
    assert drawn.error is None
    batch = batches.map(["x"], "{row}", model="test/only").wait()
    assert [each.data for each in batch[0].images] == [GIF]
    (row,) = batch.to_frame()
    assert row["answer"] == f"(Picture 1: GIF, {len(GIF)} bytes)"
    assert (row["status"], row["error"]) == ("completed", "The answer has no text, only images.")
    assert batch.errors[0].code == "no_text"


def test_kernel_shows_image_or_reason_why_it_cannot(server: Jupyter) -> None:
    with closing(Kernel(server)) as kernel:
        ran = kernel.run(
            "import jupyter_bgstream as bg\nanswer = bg.submit('x', model='test/drawn').wait()\nanswer.images[0]"
        )
        (shown,) = ran.bundles
        assert b64decode(shown["image/png"]) == PNG
        (lost,) = kernel.run("lost = bg.job(answer.id).images[0]\nanswer.delete()\nlost").outputs
        assert lost["data"]["text/plain"].startswith(f"<Picture 1, PNG, {len(PNG)} bytes> cannot be shown: ")


@pytest.fixture
def loose(server: Jupyter, monkeypatch: pytest.MonkeyPatch) -> Iterator[LooseKernel]:
    with closing(LooseKernel(server, monkeypatch)) as kernel:
        setup = (
            "from jupyter_bgstream.client import display_updates, job, submit\n"
            "from jupyter_bgstream.client.job_display import JobsDisplay\nshell = get_ipython()"
        )
        assert kernel.run(setup).reply["status"] == "ok"
        yield kernel


def test_updated_display_has_image_at_the_end(loose: LooseKernel) -> None:
    loose.send("asked = submit('x', model='test/drawn')\ndisplay_updates.publish(shell, JobsDisplay([asked]))")
    data = b64encode(PNG).decode()
    messages = loose.messages(
        lambda message: bool(displayed([message])) and data in message["content"]["data"]["text/markdown"]
    )
    assert "base64" not in messages[-1]["content"]["data"]["text/plain"]


def test_widget_gets_image_in_pieces(loose: LooseKernel, provider: ThreadedProvider) -> None:
    provider.scripts["large"] = answer("", images=[LARGE])
    running = loose.send("asked = submit('x', model='test/large')\nview = asked.view()\ndisplay(view)\nasked.wait().id")
    messages = loose.messages(lambda message: message["msg_type"] == "execute_result")
    job_id = messages[-1]["content"]["data"]["text/plain"].strip("'")
    assert messages[-1]["parent_header"]["msg_id"] == running
    comm = next(m["content"]["comm_id"] for m in messages if "kind" in str(m["content"].get("data", {}).get("state")))

    def handed_over(image: str, call: str) -> tuple[bytes, dict[str, object]]:
        loose.tell(comm, {"type": "image", "job": job_id, "image": image, "call": call})
        content = lambda message: message["content"].get("data", {}).get("content", {})  # noqa: E731
        came = [m for m in loose.messages(lambda m: content(m).get("type") == "done") if content(m).get("call") == call]
        pieces = [bytes(buffer) for message in came[:-1] for buffer in message["buffers"]]
        assert all(len(piece) <= 256 * 1024 for piece in pieces)
        return b"".join(pieces), content(came[-1])

    assert handed_over("1-1", "a") == (LARGE, {"type": "done", "call": "a"})
    data, end = handed_over("1-2", "b")
    assert (data, end["error"]["code"]) == (b"", "not_found")  # type: ignore[index]


async def test_relay_refuses_too_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        async def image(self, job_id: str, image_id: str) -> bytes:
            return bytes(11 * 2**20)

    sent: list[dict[str, object]] = []
    await ImageRelay(lambda message, _: sent.append(message)).relay(Api(), "j1", "1-1", 7)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["done"]
    assert sent[0]["error"]["code"] == "too_large"  # type: ignore[index]


def test_images_of_different_jobs_are_not_equal(script: None) -> None:
    one, two = (submit("x", model="test/only").wait().images[0] for _ in range(2))
    assert isinstance(one, AnswerImage)
    assert one != two
    assert len({one, two}) == 2
