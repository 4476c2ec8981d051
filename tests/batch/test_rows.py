"""Tables of any type: reading rows, joining answers, and refused values."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jupyter_bgstream.client.batch.columns import Column
from jupyter_bgstream.client.batch.frame import joined_frame
from jupyter_bgstream.client.batch.json_schema import Schema
from jupyter_bgstream.client.batch.results import Row
from jupyter_bgstream.client.batch.table import MAX_ROWS, check_no_gaps, is_missing, read_rows
from jupyter_bgstream.core.errors import InvalidRequestError

DICTS = [{"text": "a", "n": 1}, {"text": "b", "n": 2}]


def refusal(table):
    with pytest.raises(InvalidRequestError) as refused:
        read_rows(table)
    assert refused.value.field == "table"
    return refused.value.message


@pytest.mark.parametrize(
    "table",
    [DICTS, tuple(DICTS), iter(DICTS), pd.DataFrame(DICTS), pl.DataFrame(DICTS)],
    ids=lambda t: type(t).__name__,
)
def test_columns_and_rows_are_same_for_every_table_type(table):
    rows = read_rows(table)
    assert (len(rows), list(rows.columns)) == (2, ["text", "n"])
    assert list(rows.values("text")) == ["a", "b"]
    assert [dict(item) for item in rows.items()] == DICTS


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (["a", "b"], "row"),
        ((word for word in "ab"), "row"),
        (np.array(["a", "b"]), "row"),
        (pd.Series(["a", "b"]), "row"),
        (pd.Series(["a", "b"], name="text"), "text"),
        (pl.Series(["a", "b"]), "row"),
        (pl.Series("text", ["a", "b"]), "text"),
    ],
)
def test_table_without_columns_gets_one_column(table, column):
    rows = read_rows(table)
    assert list(rows.columns) == [column]
    assert list(rows.values(column)) == ["a", "b"]


def test_dicts_can_differ_and_column_names_can_be_any_value():
    rows = read_rows([{"a": 1}, {2: "x", "a": 3}])
    assert list(rows.columns) == ["a", "2"]
    assert list(rows.values("2")) == [None, "x"]
    assert list(read_rows(pd.DataFrame({0: ["x"]})).values("0")) == ["x"]


def test_value_that_is_not_table_is_refused():
    assert "empty" in refusal([])
    assert "empty" in refusal(pd.DataFrame({"a": []}))
    for table in ("text", b"bytes", {"a": [1]}, 7, None):
        assert "is not a table. Use a DataFrame" in refusal(table)
    assert "collect()" in refusal(pl.LazyFrame({"a": [1]}))
    assert "more than one column named 'a'" in refusal(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert f"{MAX_ROWS + 1:,} rows" in refusal(range(MAX_ROWS + 5))
    assert refusal(iter(int, 1))  # without an end


@pytest.mark.parametrize(
    "empty",
    [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "ns"), Decimal("NaN")],
    ids=lambda empty: f"{type(empty).__name__} {empty}",
)
def test_missing_value_is_detected(empty):
    assert is_missing(empty)
    with pytest.raises(InvalidRequestError, match=r"'text' is empty .* in row 1, counted from 0"):
        check_no_gaps("The column 'text'", ["a", empty, "b"])


def test_gaps_are_counted_and_first_rows_are_named():
    check_no_gaps("The column 'text'", ["", 0, False, [], "nan", np.array([np.nan]), Decimal("sNaN")])
    with pytest.raises(InvalidRequestError, match=r"in 20 rows \(0, 1, 2, 3, 4, 5, 6, 7, …\)"):
        check_no_gaps("The column 'text'", [None] * 20)


# What comes back


def answers(*values, schema=None, **fields):
    return [
        Row(number=number, status="completed", text=str(value), value=value if schema else None, **fields)
        for number, value in enumerate(values)
    ]


def test_pandas_index_is_kept():
    table = pd.DataFrame({"text": ["a", "b", "c"]}, index=["x", "x", "y"])
    found = joined_frame(read_rows(table), answers("A", "B", "C"), None)
    assert found.index.tolist() == ["x", "x", "y"]
    assert found["answer"].tolist() == ["A", "B", "C"]
    assert list(table.columns) == ["text"]  # a copy


def test_later_changes_of_table_do_not_move_answers():
    frame = pd.DataFrame({"text": ["b", "a"]})
    rows = read_rows(frame)
    frame.loc[0, "text"] = "c"
    frame.loc[2] = "d"
    joined = joined_frame(rows, answers("B", "A"), None)
    assert joined[["text", "answer"]].to_numpy().tolist() == [["b", "B"], ["a", "A"]]
    frame = pl.DataFrame({"text": ["b", "a"]})
    rows = read_rows(frame)
    frame.extend(pl.DataFrame({"text": ["c"]}))
    frame[0, "text"] = "d"
    assert joined_frame(rows, answers("B", "A"), None)["text"].to_list() == ["b", "a"]
    dicts = [{"text": "b"}, {"text": "a"}]
    rows = read_rows(dicts)
    dicts[0]["text"] = "c"
    del dicts[1]["text"]
    assert [row["text"] for row in joined_frame(rows, answers("B", "A"), None)] == ["b", "a"]
    assert rows.values("text") == ["b", "a"]


def test_joined_frame_has_type_of_table():
    for table in (pl.DataFrame(DICTS), DICTS, pd.DataFrame(DICTS)):
        found = joined_frame(read_rows(table), answers("A", "B"), None)
        assert type(found) is type(table)
    assert joined_frame(read_rows(["a", "b"]), answers("A", "B"), None)[1] == {
        "row": "b",
        "answer": "B",
        "status": "completed",
        "error": None,
    }
    assert list(joined_frame(read_rows(pd.Series(["a"])), answers("A"), None).columns) == [
        "row",
        "answer",
        "status",
        "error",
    ]


def test_taken_column_names_get_prefix():
    table = [{"status": "new", "answer": 1, "answer_answer": 2, "n": 3}]
    (row,) = joined_frame(read_rows(table), answers("A"), None)
    assert row == table[0] | {"answer_answer_answer": "A", "answer_status": "completed", "error": None}
    schema = Schema({"type": "object", "properties": {"status": {"type": "string"}, "n": {"type": "integer"}}})
    (row,) = joined_frame(read_rows(table), answers({"status": "good", "n": 5}, schema=schema), schema)
    assert row == table[0] | {
        "answer_status": "good",
        "answer_n": 5,
        "answer_answer_status": "completed",
        "error": None,
    }


KINDS = {"n": 7, "x": 0.5, "ok": True, "word": "a", "many": [1, 2], "any": {"a": 1}}
SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "ok": {"type": ["boolean", "null"]},
        "word": {"enum": ["a", "b"]},
        "many": {"type": "array"},
        "any": {},
    },
}


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_columns_with_gaps_have_types_of_schema(kind):
    schema = Schema(SCHEMA)
    table = kind({"text": ["a", "b"]})
    found = joined_frame(read_rows(table), answers(KINDS, None, schema=schema), schema)
    for name, value in KINDS.items():
        first, second = found[name].to_list()
        assert first == value
        assert is_missing(second)
    assert str(found["n"].dtype) == "Int64"
    assert str(found["ok"].dtype).lower() == "boolean"


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_no_value_of_schema_breaks_frame(kind):
    rows = read_rows(kind({"text": ["a", "b", "c"]}))
    for values in ([1 << 80, 1, None], ["x", 1, None], [{"a": 1}, {"a": "x"}, None], [[1], ["x"], {"y": 2}]):
        for wanted in ("integer", "number", "boolean", "string", None):
            found = rows.joined({"new": Column(values=values, kind=wanted)})
            assert len(found) == 3
    assert rows.joined({"new": Column(values=[1 << 80, 1, None], kind="integer")})["new"].to_list()[0] == 1 << 80
