"""Images of earlier answers of a thread are sent to providers that accept them."""

from __future__ import annotations

from base64 import b64encode

import pytest
from engine.conftest import OWNER, Call, Puppet, ended, spec
from store.model import MemoryStore

from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import ImagePart, TextPart
from jupyter_bgstream.engine import conversation_history
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.providers.http_provider import HTTPProvider
from jupyter_bgstream.providers.port import ImageData
from jupyter_bgstream.providers.provider_settings import ProviderSettings
from jupyter_bgstream.store.port_values import IMAGE_CHUNK

CAT = b"\x89PNG\r\n\x1a\n" + b"cat" * IMAGE_CHUNK
DOG = b"GIF89a dog"
WORDS = {CAT: "(Picture 1: PNG, 786.4 kB)", DOG: "(Picture 1: GIF, 10 bytes)"}


class Painter(Puppet):
    """A provider that takes images back."""

    accepts_returned_images = True


@pytest.fixture
def puppet() -> Painter:
    return Painter()


async def drawn(engine: Engine, puppet: Puppet, prompt: str, *files: bytes, thread: str = "t") -> Job:
    job, _ = await engine.jobs.submit(OWNER, spec(prompt, thread=thread))
    (await puppet.call()).say_all(*(ImageData(data=b64encode(file).decode()) for file in files)).finish()
    return await ended(engine, job.id)


async def asked(engine: Engine, puppet: Puppet, prompt: str = "And?", thread: str = "t") -> Call:
    job, _ = await engine.jobs.submit(OWNER, spec(prompt, thread=thread))
    call = await puppet.call()
    call.say("So.").finish()
    await ended(engine, job.id)
    return call


def sent(call: Call) -> list[object]:
    return [message.content for message in (*call.job.history, *call.job.spec.messages)]


def parts(text: str, *files: bytes) -> tuple[object, ...]:
    types = {CAT: "image/png", DOG: "image/gif"}
    return (*(ImagePart(media_type=types[file], data=file) for file in files), TextPart(text=text))  # type: ignore[arg-type]


async def test_image_of_turn_is_sent_with_next_prompt(engine: Engine, store: MemoryStore, puppet: Painter) -> None:
    await drawn(engine, puppet, "A cat", CAT)
    await drawn(engine, puppet, "A dog", DOG)
    call = await asked(engine, puppet, "Both")
    assert sent(call) == ["A cat", WORDS[CAT], parts("A dog", CAT), WORDS[DOG], parts("Both", DOG)]
    stored = await store.job(OWNER, call.job.id)  # there it is only once
    assert [message.content for message in stored.history] == ["A cat", WORDS[CAT], "A dog", WORDS[DOG]]
    assert stored.spec.messages[0].content == "Both"


async def test_unsupported_returned_images_are_sent_as_text(engine: Engine, puppet: Painter) -> None:
    await drawn(engine, puppet, "A cat", CAT)
    puppet.accepts_returned_images = False
    assert sent(await asked(engine, puppet)) == ["A cat", WORDS[CAT], "And?"]


async def test_several_images_keep_their_order(engine: Engine, puppet: Painter) -> None:
    await drawn(engine, puppet, "Both", CAT, DOG)
    assert sent(await asked(engine, puppet))[-1] == parts("And?", CAT, DOG)


async def test_newest_images_are_sent_up_to_size_limit(
    engine: Engine, puppet: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_history, "RETURNED_BYTES", len(CAT) + 5)
    await drawn(engine, puppet, "A cat", CAT)
    await drawn(engine, puppet, "A dog", DOG)
    assert sent(await asked(engine, puppet)) == ["A cat", WORDS[CAT], "A dog", WORDS[DOG], parts("And?", DOG)]


async def test_image_of_deleted_turn_is_sent_as_text(engine: Engine, puppet: Painter) -> None:
    first = await drawn(engine, puppet, "A cat", CAT)
    await asked(engine, puppet, "Why?")
    await engine.jobs.delete(OWNER, first.id)
    assert sent(await asked(engine, puppet))[:3] == ["A cat", WORDS[CAT], "Why?"]
    # Nor those of another job that has taken the id.
    await engine.jobs.submit(OWNER, spec("A dog", thread="other"), first.id)
    (await puppet.call()).say_all(ImageData(data=b64encode(DOG).decode())).finish()
    await ended(engine, first.id)
    assert sent(await asked(engine, puppet))[:3] == ["A cat", WORDS[CAT], "Why?"]


async def test_fork_sends_images_until_their_job_is_deleted(engine: Engine, puppet: Painter) -> None:
    job = await drawn(engine, puppet, "A cat", CAT)
    await engine.threads.fork(OWNER, "t", "fork", after=None)
    assert sent(await asked(engine, puppet, thread="fork"))[-1] == parts("And?", CAT)
    await engine.jobs.delete(OWNER, job.id)
    assert sent(await asked(engine, puppet, "Then?", thread="fork"))[:3] == ["A cat", WORDS[CAT], "And?"]


@pytest.mark.parametrize(
    ("format", "dialect", "takes"),
    [
        ("gemini", None, True),
        ("responses", None, True),
        ("chat_completions", "openrouter", True),
        ("chat_completions", "plain", False),
        ("messages", None, False),
        ("ollama", None, False),
    ],
)
def test_provider_accepts_returned_images_by_format(format: str, dialect: str | None, takes: bool) -> None:
    fields = {"dialect": dialect} if dialect else {}
    endpoint = ProviderSettings(base_url="http://127.0.0.1:1/v1", format=format, **fields)  # type: ignore[arg-type]
    assert HTTPProvider("x", endpoint, environ={}).accepts_returned_images is takes
