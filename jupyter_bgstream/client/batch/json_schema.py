"""Answers that follow a JSON schema: what is asked for, and whether it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...core.errors import InvalidRequestError
from ...core.state import ErrorInfo
from .column_types import kind_of, properties_of
from .json_extraction import NotJsonError, json_in

_WORDS = 300  # characters of what is wrong


class Schema:
    """A JSON schema.

    ``columns`` are the properties of an object, each with the kind of its values or None; None of any other schema,
    of which ``kind`` is the kind of its values.

    Takes a dict, a class of pydantic, a ``msgspec.Struct``, a dataclass or a TypedDict. Raises InvalidRequestError for
    what is no schema. Nothing is fetched from anywhere.
    """

    def __init__(self, asked: Any) -> None:
        # Loaded by those who ask for it: some 50 ms.
        import jsonschema  # noqa: PLC0415
        import referencing  # noqa: PLC0415

        self.json = _json_schema(asked)
        kind = jsonschema.validators.validator_for(self.json, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(self.json)
        except jsonschema.SchemaError as error:
            raise InvalidRequestError(f"schema is no JSON schema: {error.message[:_WORDS]}", field="schema") from None
        self._validator = kind(self.json, registry=referencing.Registry())
        properties = properties_of(self.json, self.json)
        self.columns: dict[str, str | None] | None = (
            None if properties is None else {name: kind_of(each, self.json) for name, each in properties.items()}
        )
        self.kind = kind_of(self.json, self.json)

    def read(self, text: str) -> tuple[Any, ErrorInfo | None]:
        """Return what an answer holds, or why it does not follow the schema."""
        try:
            value = json_in(text)
        except NotJsonError as error:
            return None, ErrorInfo(code="not_json", message=f"The answer is not JSON: {error}."[:_WORDS])
        try:
            wrong = next(iter(self._validator.iter_errors(value)), None)
        except Exception as error:  # a reference to somewhere else, a pattern that is none
            return None, ErrorInfo(code="schema", message=f"The answer cannot be checked: {error}"[:_WORDS])
        if wrong is None:
            return value, None
        where = f" at {wrong.json_path[2:]}" if wrong.json_path != "$" else ""
        return None, ErrorInfo(code="schema", message=f"The answer breaks the schema{where}: {wrong.message[:_WORDS]}.")


def _json_schema(asked: Any) -> dict[str, Any]:
    if isinstance(asked, Mapping):
        return dict(asked)
    if callable(made := getattr(asked, "model_json_schema", None)):  # a class of pydantic
        return dict(made())
    if not isinstance(asked, type):
        raise InvalidRequestError(
            f"schema is a {type(asked).__name__}: give a JSON schema as a dict, or a class of pydantic, a"
            " msgspec.Struct or a dataclass.",
            field="schema",
        )
    try:
        made = msgspec.json.schema(asked)
    except TypeError as error:
        raise InvalidRequestError(f"No JSON schema can be made of {asked.__name__}: {error}", field="schema") from None
    # Services want the object itself at the top, not a reference to it.
    top = made.get("$ref", "").removeprefix("#/$defs/")
    if top in made.get("$defs", {}):
        itself = f"'#/$defs/{top}'" in str(made["$defs"])
        others = {name: each for name, each in made["$defs"].items() if name != top or itself}
        return {**made["$defs"][top], **({"$defs": others} if others else {})}
    return dict(made)
