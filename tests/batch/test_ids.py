"""Ids of batches and jobs: equal content has the same id, and different content another one."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client.batch.content_ids import content_id, job_id, numbered_id, row_of
from jupyter_bgstream.core.errors import InvalidRequestError, TooLargeError
from jupyter_bgstream.core.request_checks import MAX_BODY

PROMPTS = [{"prompt": "a"}, {"prompt": "b"}]


def test_content_id_depends_on_model_params_and_prompts():
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


def test_unsendable_value_is_named():
    with pytest.raises(
        InvalidRequestError, match=r"Row 1, counted from 0, cannot be sent: the character '\\ud800' is a lone surrogate"
    ):
        content_id("m/n", {}, [{"prompt": "a"}, {"prompt": "a\ud800"}])
    with pytest.raises(InvalidRequestError, match="A value in params or in the schema cannot be sent: a object is not"):
        content_id("m/n", {"a": object()}, [])
    with pytest.raises(TooLargeError, match=r"Row 1, counted from 0, has 32.0 MiB; the limit is 32 MiB"):
        content_id("m/n", {}, [{"prompt": "a"}, {"prompt": "x" * MAX_BODY}])


def test_numpy_values_have_same_id_as_python_values():
    params = {"temperature": np.float64(0.5), "max_tokens": np.int64(5), "logprobs": np.bool_(True)}
    same = {"temperature": 0.5, "max_tokens": 5, "logprobs": True}
    assert content_id("m/n", params, [{"prompt": np.str_("a")}]) == content_id("m/n", same, [{"prompt": "a"}])


@given(st.integers(0, 3), st.integers(0, 999_999), st.lists(st.text()))
def test_row_number_is_read_from_job_id(times, row, words):
    batch = numbered_id(content_id("m/n", {}, words), times)
    job = job_id(batch, row)
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", job)
    assert row_of(batch, job) == row
    assert row_of(numbered_id(batch, 7), job) is None
    assert row_of(batch, "somebody-elses-job") is None
