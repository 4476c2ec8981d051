"""Answers that follow a JSON schema."""

from dataclasses import dataclass
from typing import Literal

import msgspec
import pydantic
import pytest

from jupyter_bgstream.client.batch.json_schema import Schema
from jupyter_bgstream.core.errors import InvalidRequestError

JSON = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}, "sure": {"type": "number", "maximum": 1}},
    "required": ["label"],
    "additionalProperties": False,
}


class Struct(msgspec.Struct):
    label: Literal["a", "b"]
    sure: float | None = None


@dataclass
class Data:
    label: Literal["a", "b"]
    sure: float | None = None


class Model(pydantic.BaseModel):
    label: Literal["a", "b"]
    sure: float | None = None


class Inner(msgspec.Struct):
    parts: "list[Inner]" = []


class Outer(msgspec.Struct):
    inner: Inner
    more: "Outer | None" = None


@pytest.mark.parametrize("asked", [JSON, Struct, Data, Model])
def test_every_schema_type_becomes_object_with_its_properties(asked):
    schema = Schema(asked)
    assert schema.json["type"] == "object"
    assert list(schema.columns) == ["label", "sure"]
    assert schema.read('{"label": "a", "sure": 0.5}') == ({"label": "a", "sure": 0.5}, None)
    value, fault = schema.read('{"label": "c"}')
    assert (value, fault.code) == (None, "schema")
    assert "at label: 'c' is not one of ['a', 'b']" in fault.message


def test_type_can_contain_other_types_and_itself():
    schema = Schema(Outer)
    assert schema.json["type"] == "object"
    assert schema.read('{"inner": {"parts": [{"parts": []}]}, "more": {"inner": {}}}')[1] is None
    assert schema.read('{"inner": {"parts": [{"parts": 7}]}}')[1].code == "schema"


def test_schema_can_describe_array():
    schema = Schema({"type": "array", "items": {"type": "integer"}})
    assert schema.columns is None
    assert schema.read("[1, 2]") == ([1, 2], None)
    assert schema.read('["x"]')[1].code == "schema"


@pytest.mark.parametrize(
    "fenced", ["```json\n%s\n```\n", "```JSON\n%s\n```", "```\r\n%s\r\n```\r\n", " ```json5 \n%s```"]
)
def test_code_fence_around_answer_is_removed(fenced):
    assert Schema(JSON).read(fenced % '{"label": "a"}') == ({"label": "a"}, None)


@pytest.mark.parametrize("text", ["", "no", '{"label": "a"', "[" * 100_000, '{"label": "a"} {"label": "b"}', "\ud800"])
def test_malformed_json_is_reported(text):
    value, fault = Schema(JSON).read(text)
    assert (value, fault.code) == (None, "not_json")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"type": "objekt"}, "not a valid JSON schema: 'objekt'"),
        ("object", "not a str"),
        (object, "Cannot convert object to a JSON schema"),
        (Struct(label="a"), "not a Struct"),
    ],
)
def test_invalid_schema_is_refused(asked, words):
    with pytest.raises(InvalidRequestError) as refused:
        Schema(asked)
    assert words in refused.value.message
    assert refused.value.field == "schema"


def test_remote_reference_is_not_fetched():
    value, fault = Schema({"$ref": "http://127.0.0.1:9/schema.json"}).read("{}")
    assert (value, fault.code) == (None, "schema")
    assert "cannot be validated" in fault.message
