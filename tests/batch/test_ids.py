"""The same content is the same batch, and nothing else is."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client.batch.content_ids import content_id, job_id, numbered_id, row_of
from jupyter_bgstream.core.errors import InvalidRequestError, TooLargeError
from jupyter_bgstream.core.request_checks import MAX_BODY

PROMPTS = [{"prompt": "a"}, {"prompt": "b"}]


def test_the_same_is_the_same_and_whatever_differs_is_another():
    first = content_id("m/n", {"a": 1, "b": 2}, PROMPTS)
    assert content_id("m/n", {"b": 2, "a": 1}, iter(PROMPTS)) == first
    others = [
        content_id("m/o", {"a": 1, "b": 2}, PROMPTS),
        content_id("m/n", {"a": 1}, PROMPTS),
        content_id("m/n", {"a": 1, "b": 2}, PROMPTS[::-1]),
        content_id("m/n", {"a": 1, "b": 2}, PROMPTS[:1]),
        content_id("m/n", {"a": 1, "b": 2}, [*PROMPTS, {"prompt": "b"}]),
        content_id("m/n", {"a": 1, "b": 2}, [{"prompt": "ab"}, {"prompt": ""}]),
    ]
    assert len({first, *others}) == 7


def test_what_cannot_be_sent_is_named():
    with pytest.raises(
        InvalidRequestError, match=r"Row 1, counted from 0, cannot be sent: the character '\\ud800' is a lone surrogate"
    ):
        content_id("m/n", {}, [{"prompt": "a"}, {"prompt": "a\ud800"}])
    with pytest.raises(InvalidRequestError, match="A value in params or in the schema cannot be sent: a object is not"):
        content_id("m/n", {"a": object()}, [])
    with pytest.raises(TooLargeError, match=r"Row 1, counted from 0, has 32.0 MiB; the limit is 32 MiB"):
        content_id("m/n", {}, [{"prompt": "a"}, {"prompt": "x" * MAX_BODY}])


def test_what_numpy_has_is_what_python_has():
    params = {"temperature": np.float64(0.5), "max_tokens": np.int64(5), "logprobs": np.bool_(True)}
    same = {"temperature": 0.5, "max_tokens": 5, "logprobs": True}
    assert content_id("m/n", params, [{"prompt": np.str_("a")}]) == content_id("m/n", same, [{"prompt": "a"}])


@given(st.integers(0, 3), st.integers(0, 999_999), st.lists(st.text()))
def test_a_job_tells_its_row(times, row, words):
    batch = numbered_id(content_id("m/n", {}, words), times)
    job = job_id(batch, row)
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", job)
    assert row_of(batch, job) == row
    assert row_of(numbered_id(batch, 7), job) is None
    assert row_of(batch, "somebody-elses-job") is None
