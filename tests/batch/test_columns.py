"""Columns of frames have the values of the JSON answers."""

import json
from datetime import UTC, date, datetime

import pandas as pd
import polars as pl
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client.batch.column_types import kind_of
from jupyter_bgstream.client.batch.frame import joined_frame
from jupyter_bgstream.client.batch.json_schema import Schema
from jupyter_bgstream.client.batch.results import Row
from jupyter_bgstream.client.batch.table import is_missing, read_rows

BIG = 9007199254740993  # 2**53 + 1, which no float holds

both = pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])


def column(library, schema, values):
    """What the frame holds of answers ``{"v": value}``, and the type of its column."""
    read = Schema({"type": "object", "properties": {"v": schema}, "$defs": {"N": {"type": ["integer", "null"]}}})
    rows = [Row(number=n, status="completed", value=read.read(json.dumps({"v": v}))[0]) for n, v in enumerate(values)]
    found = joined_frame(read_rows(library.DataFrame({"row": list(range(len(values)))})), rows, read)["v"]
    return [None if is_missing(value) else value for value in found.to_list()], found.dtype


INTEGERS = [
    {"type": "integer"},
    {"type": ["integer", "null"]},
    {"$ref": "#/$defs/N"},
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"oneOf": [{"$ref": "#/$defs/N"}, {"const": 5}]},
    {"allOf": [{"type": "number"}, {"type": ["integer", "null"]}]},
    {"enum": [BIG, 3, None]},
    {},
]


@both
@pytest.mark.parametrize("schema", INTEGERS, ids=json.dumps)
def test_integers_stay_exact(library, schema):
    assert column(library, schema, [BIG, None, 3])[0] == [BIG, None, 3]
    assert str(column(library, schema, [BIG, None, 3])[1]) == "Int64"
    if "enum" not in schema:
        for big in (2**64 - 1, -(2**63), 10**30):
            assert column(library, schema, [big, None, 3])[0] == [big, None, 3]


@both
@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"type": ["integer", "string"]}, [1, "x"]),
        ({}, [True, 2]),
        ({}, [1, 2.5]),
        ({}, [["y"], "x"]),
        ({"type": "array"}, [[1, 2], [3, "x"]]),
        ({"type": "array"}, [[1], [2.5]]),
        ({"type": "array"}, [[True], [2]]),
        ({"type": "object"}, [{"a": 1}, {"a": "x"}]),
        ({"type": "object"}, [{"a": BIG}, {"a": 0.5}]),
        ({"type": "object"}, [{"a": None}, {"b": 1}]),
        ({"type": "number"}, [BIG, 0.5]),
    ],
    ids=repr,
)
def test_no_value_changes_because_of_another_row(library, schema, values):
    found, dtype = column(library, schema, values)
    assert [(type(value), value) for value in found] == [(type(value), value) for value in values]
    assert str(dtype).lower().startswith(("obj", "list"))


@both
def test_numeric_columns_have_numeric_types(library):
    assert column(library, {"type": "integer"}, [1, 3.0, None]) == ([1, 3, None], column(library, {}, [1])[1])
    found, dtype = column(library, {"type": "number"}, [1, 2.5, None])
    assert found == [1.0, 2.5, None]
    assert str(dtype).lower() == "float64"
    assert str(column(library, {"type": "number"}, [1, 2])[1]).lower() == "float64"


@both
def test_booleans_and_strings_have_declared_types(library):
    found, dtype = column(library, {"type": "boolean"}, [True, None, False])
    assert found == [True, None, False]
    assert str(dtype).lower() == "boolean"
    texts = ["2026-01-02", "1", "true", "nan", None]
    assert column(library, {"type": "string"}, texts)[0] == texts


@both
def test_dates_have_declared_types(library):
    day = {"type": "string", "format": "date"}
    found, dtype = column(library, day, ["2026-01-02", None])
    assert str(dtype).lower().startswith("date")
    assert found[0] == (date(2026, 1, 2) if library is pl else pd.Timestamp(2026, 1, 2))
    moment = {"type": ["string", "null"], "format": "date-time"}
    found, dtype = column(library, moment, ["2026-01-02T03:04:05.000006+01:00", None, "1969-01-02T00:00:00Z"])
    assert found[0] == datetime(2026, 1, 2, 2, 4, 5, 6, UTC)
    assert "UTC" in str(dtype)
    assert column(library, moment, ["2026-01-02T03:04:05"])[0] == [datetime(2026, 1, 2, 3, 4, 5)]
    for schema, values in (
        (day, ["2026-01-02", "soon"]),
        (moment, ["2026-01-02T03:04:05", "2026-01-02T03:04:05Z"]),
        (moment, ["2026-01-02T03:04:05.123456789Z"]),
        (moment, ["2026-12-31T23:59:60Z"]),
    ):
        assert column(library, schema, values)[0] == values


@both
def test_objects_with_same_keys_are_kept(library):
    values = [{"a": 1, "b": {"c": [1, 2]}}, {"a": 2, "b": {"c": []}}]
    assert column(library, {"type": "object"}, values)[0] == values
    if library is pl:
        assert column(pl, {"type": "object"}, values)[1] == pl.Struct(
            {"a": pl.Int64, "b": pl.Struct({"c": pl.List(pl.Int64)})}
        )
        assert column(pl, {"type": "object"}, [{"a": 1}, {"b": "x"}])[1] == pl.Struct({"a": pl.Int64, "b": pl.String})


@both
def test_schema_of_plain_value_determines_column_type(library):
    schema = Schema({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}})
    rows = [Row(number=n, status="completed", value=value) for n, value in enumerate([BIG, None])]
    found = joined_frame(read_rows(library.DataFrame({"row": [0, 1]})), rows, schema)["answer"]
    assert found.to_list()[0] == BIG
    assert str(found.dtype) == "Int64"


class Nested(pydantic.BaseModel):
    n: int


class Model(pydantic.BaseModel):
    whole: int
    maybe: int | None = None
    either: int | str
    number: int | float
    day: date
    moment: datetime
    nested: Nested
    ok: bool | None = None


def test_fields_of_class_determine_column_types():
    schema = Schema(Model)
    assert schema.columns == {
        "whole": "integer",
        "maybe": "integer",
        "either": None,
        "number": "number",
        "day": "date",
        "moment": "datetime",
        "nested": "object",
        "ok": "boolean",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/no"},
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": 7},
        {"anyOf": [{"$ref": "#"}, {"type": "string"}]},
        {"allOf": "no", "enum": {}, "type": 7, "format": []},
        True,
        None,
    ],
    ids=str,
)
def test_unusable_schema_declares_no_type(schema):
    assert kind_of(schema, schema if isinstance(schema, dict) else {}) is None


def schemas() -> st.SearchStrategy:
    kinds = st.sampled_from(["integer", "number", "boolean", "string", "object", "array", "null"])
    one = st.builds(lambda kind: {"type": kind}, kinds)
    several = st.builds(lambda found: {"type": sorted(found)}, st.sets(kinds, min_size=1))
    return st.one_of(st.just({}), one, several, st.builds(lambda found: {"anyOf": found}, st.lists(one, min_size=1)))


numbers = st.integers() | st.integers(2**53 - 2, 2**53 + 2) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@both
@given(schema=schemas(), values=st.lists(values, min_size=1, max_size=4))
def test_frame_values_equal_json_values(library, schema, values):
    read = Schema({"type": "object", "properties": {"v": schema}})
    valid = [value for value in values if read.read(json.dumps({"v": value}))[1] is None]
    if not valid:
        return
    for found, value in zip(column(library, schema, valid)[0], valid, strict=True):
        assert held(found, value), (found, value)


def held(found, value) -> bool:
    """Whether a frame's value is that of the JSON, where JSON has one type of numbers, and null is a gap."""
    match value:
        case None:
            return found is None
        case bool():
            return (bool(found) is value and not isinstance(found, int)) or found is value
        case int() | float():
            return not isinstance(found, bool | str) and found == value
        case str():
            return found == value
        case list():
            return len(found) == len(value) and all(map(held, found, value))
        case _:
            return all(held(each, value.get(name)) for name, each in found.items()) and value.keys() <= found.keys()
