"""JSON schemas of answers: conversion, validation, types of columns."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ...core.errors import InvalidRequestError
from ...core.state import ErrorInfo
from .column_types import kind_of, properties_of
from .json_extraction import NotJsonError, json_in

_WORDS = 300  # characters of an error


class Schema:
    """JSON schema of answers; references to other documents are never fetched.

    Args:
        source: a dict, a pydantic class, a ``msgspec.Struct``, a dataclass or a TypedDict.

    Attributes:
        json: the schema as JSON.
        columns: the properties of an object, each with the kind of its values or None; None for any other schema.
        kind: kind of the values of a schema without columns.

    Raises:
        InvalidRequestError: the source is not a valid schema.

    """

    def __init__(self, source: Any) -> None:
        # Imported only if needed: about 50 ms.
        import jsonschema  # noqa: PLC0415
        import referencing  # noqa: PLC0415

        self.json = _json_schema(source)
        kind = jsonschema.validators.validator_for(self.json, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(self.json)
        except jsonschema.SchemaError as error:
            raise InvalidRequestError(
                f"schema is not a valid JSON schema: {error.message[:_WORDS]}", field="schema"
            ) from None
        self._validator = kind(self.json, registry=referencing.Registry())
        properties = properties_of(self.json, self.json)
        self.columns: dict[str, str | None] | None = (
            None if properties is None else {name: kind_of(each, self.json) for name, each in properties.items()}
        )
        self.kind = kind_of(self.json, self.json)

    def read(self, text: str) -> tuple[Any, ErrorInfo | None]:
        """Return the value of an answer, or the error if it does not follow the schema."""
        try:
            value = json_in(text)
        except NotJsonError as error:
            return None, ErrorInfo(code="not_json", message=f"The answer is not JSON: {error}."[:_WORDS])
        try:
            wrong = next(iter(self._validator.iter_errors(value)), None)
        except Exception as error:  # an external reference, an invalid pattern
            return None, ErrorInfo(code="schema", message=f"The answer cannot be validated: {error}"[:_WORDS])
        if wrong is None:
            return value, None
        where = f" at {wrong.json_path[2:]}" if wrong.json_path != "$" else ""
        return None, ErrorInfo(
            code="schema", message=f"The answer does not match the schema{where}: {wrong.message[:_WORDS]}."
        )


def _json_schema(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    if callable(made := getattr(source, "model_json_schema", None)):  # a class of pydantic
        return dict(made())
    if not isinstance(source, type):
        raise InvalidRequestError(
            f"schema must be a dict, a pydantic class, a msgspec.Struct or a dataclass, not a {type(source).__name__}.",
            field="schema",
        )
    try:
        made = msgspec.json.schema(source)
    except TypeError as error:
        raise InvalidRequestError(
            f"Cannot convert {source.__name__} to a JSON schema: {error}", field="schema"
        ) from None
    # Providers require the object itself at the top, not a reference to it.
    top = made.get("$ref", "").removeprefix("#/$defs/")
    if top in made.get("$defs", {}):
        itself = f"'#/$defs/{top}'" in str(made["$defs"])
        others = {name: each for name, each in made["$defs"].items() if name != top or itself}
        return {**made["$defs"][top], **({"$defs": others} if others else {})}
    return dict(made)
