"""Cursors: opaque, sortable as text, of one log and one attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.core.cursor import Cursor, new_log, position
from jupyter_bgstream.core.errors import CursorGoneError, InvalidRequestError

TAIL = Cursor(log="00c0ffee", attempt=2, seq=30)

cursors = st.builds(Cursor, log=st.just("00c0ffee"), attempt=st.integers(0, 9999), seq=st.integers(0, 10**12 - 1))


@given(st.lists(cursors))
def test_cursors_sorted_as_text_are_in_log_order(some: list[Cursor]) -> None:
    assert [str(c) for c in sorted(some, key=lambda c: (c.attempt, c.seq))] == sorted(str(c) for c in some)


@pytest.mark.parametrize(
    ("text", "seq"), [(None, 0), ("-1", 0), ("now", 30), ("00c0ffee_0000_000000000000", 0), (str(TAIL), 30)]
)
def test_cursor_is_position_in_its_log(text: str | None, seq: int) -> None:
    assert position(text, TAIL) == seq


@pytest.mark.parametrize(
    "text", ["deadbeef_0001_000000000001", "00c0ffee_0002_000000000031", "00c0ffee_0003_000000000001"]
)
def test_cursor_of_another_log_or_beyond_end_is_refused(text: str) -> None:
    with pytest.raises(CursorGoneError):
        position(text, TAIL)


@pytest.mark.parametrize(
    "text", ["", "0", "12", "00c0ffee_0001", "00C0FFEE_0001_000000000001", str(TAIL) + "\n", "٣" * 27]
)
def test_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        position(text, TAIL)
    assert refused.value.field == "offset"


def test_cursor_of_empty_log_differs_from_minus_one() -> None:
    assert str(Cursor(log=new_log(), attempt=0, seq=0)) != "-1"
