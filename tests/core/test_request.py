"""Decoding of request bodies: errors name the field."""

from __future__ import annotations

import pytest

from jupyter_bgstream.core.codec import decode_request
from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.job import TITLE_LENGTH, JobSpec, title_of
from jupyter_bgstream.core.messages import Message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model": 1}', "model"),
        (b'{"messages": []}', "model"),
        (b'{"model": "a/b", "messages": [{"role": "boss", "content": ""}]}', "messages[0].role"),
        (b'{"model": "a/b", "messages": [{"role": "user"}]}', "messages[0].content"),
        (b'{"modle": "a/b"}', "modle"),
        (b'{"model": "a/b", "messages": [], "thread": ""}', "thread"),
        (b"[]", None),
        (b"{", None),
        (b"", "model"),
        (b'{"model": "\xff"}', None),
    ],
)
def test_wrong_field_is_named(body: bytes, field: str | None) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode_request(body, JobSpec)
    assert refused.value.field == field
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize(
    ("prompt", "title"),
    [("Hello\n  world", "Hello world"), ("x" * 81, "x" * 79 + "…"), ("x" * 80, "x" * 80), ("", "")],
)
def test_title_is_beginning_of_prompt(prompt: str, title: str) -> None:
    assert title_of((Message(role="system", content="S"), Message(role="user", content=prompt))) == title
    assert len(title) <= TITLE_LENGTH
