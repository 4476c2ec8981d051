"""JSON schemas of answers, in the form of OpenAI and compatible services."""

import re
from typing import Any

_INVALID = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 64  # characters
# Keywords that OpenAI does not accept in a strict schema.
_LOOSE = frozenset({"allOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "patternProperties"})


def named_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"name", "schema", "strict"}``, with the schema's title as name."""
    title = schema.get("title")
    name = _INVALID.sub("_", title)[:_NAME_LENGTH] if isinstance(title, str) else ""
    return {"name": name or "answer", "schema": schema, "strict": _is_strict(schema)}


def _is_strict(schema: Any) -> bool:
    # OpenAI enforces a schema strictly only if every property is required and no others are allowed; else it refuses.

    match schema:
        case dict():
            names = schema.get("properties")
            if (isinstance(names, dict) or schema.get("type") == "object") and (
                schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != set(names or ())
            ):
                return False
            if not _LOOSE.isdisjoint(schema):
                return False
            return all(map(_is_strict, schema.values()))
        case list():
            return all(map(_is_strict, schema))
    return True
