"""What a job may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_bgstream.core.errors import Invalid
from jupyter_bgstream.core.job import ImagePart, JobSpec, Message, TextPart
from jupyter_bgstream.core.limits import MAX_IMAGE_BYTES, MAX_IMAGES, check_spec

PICTURE = ImagePart(media_type="image/png", data=b"x")


def spec(*content: Any, **params: Any) -> JobSpec:
    messages = tuple(Message(role="user", content=one) for one in content or ("x",))
    return JobSpec(model="a/b", messages=messages, params=params)


def refused(what: JobSpec) -> Invalid:
    with pytest.raises(Invalid) as caught:
        check_spec(what)
    return caught.value


@pytest.mark.parametrize(
    "what", [spec("x"), spec("", (PICTURE,)), spec((TextPart(text="x"), PICTURE)), spec((PICTURE,) * MAX_IMAGES)]
)
def test_what_may_be_asked(what: JobSpec) -> None:
    check_spec(what)


def test_what_is_empty_or_too_much() -> None:
    large = ImagePart(media_type="image/png", data=b"x" * (MAX_IMAGE_BYTES + 1))
    assert refused(spec(" ", (), (TextPart(text="\n"),))).field == "messages"
    assert (
        refused(spec("x", (PICTURE, ImagePart(media_type="image/png", data=b"")))).field
        == "messages[1].content[1].data"
    )
    assert refused(spec((TextPart(text="x"), large))).message == (
        "An image has 10.0 MiB; at most 10 MiB are taken: make it smaller."
    )
    assert "at most 50 images; this one has 51" in refused(spec((PICTURE,) * 30, (PICTURE,) * 21)).message


SECRETS = "api_key apiKey API-KEY base_url baseURL api_base headers extra_headers Authorization organization proxy key_"


@pytest.mark.parametrize("name", SECRETS.split())
def test_keys_and_addresses_are_the_servers(name: str) -> None:
    error = refused(spec(**{"temperature": 1, name: "sk-canary"}))
    assert (error.code, error.field) == ("invalid", f"params.{name}")
    assert "Jupyter server's environment" in error.message
    assert "canary" not in error.message


@pytest.mark.parametrize("name", ["max_tokens", "stop", "user", "keep_alive", "metadata", "tools", "safety_identifier"])
def test_other_params_are_passed_on(name: str) -> None:
    check_spec(spec(**{name: "x"}))
