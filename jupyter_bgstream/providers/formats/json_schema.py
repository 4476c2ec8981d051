"""A JSON schema that an answer must follow, as OpenAI and those that imitate it take one."""

from __future__ import annotations

import re
from typing import Any

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 64  # characters
# Keywords that OpenAI does not take in a schema to be followed to the letter.
_LOOSE = frozenset({"allOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "patternProperties"})


def named_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"name", "schema", "strict"}``, named after its title."""
    title = schema.get("title")
    name = _NO_NAME.sub("_", title)[:_NAME_LENGTH] if isinstance(title, str) else ""
    return {"name": name or "answer", "schema": schema, "strict": _is_strict(schema)}


def _is_strict(schema: Any) -> bool:
    # The service holds an answer to a schema to the letter only if that leaves nothing open; others it refuses then.
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
