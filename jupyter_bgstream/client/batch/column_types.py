"""Kinds of values that a JSON schema allows, for the types of columns."""

from collections.abc import Iterator, Mapping
from typing import Any

ANY = "any"
_DATES = {"date": "date", "date-time": "datetime"}
_DEEPEST = 50  # nested references and alternatives


def kind_of(schema: Any, root: Mapping[str, Any]) -> str | None:
    """Return the only kind of values that a schema allows, apart from null.

    Args:
        schema: the schema, or a part of one.
        root: the whole schema, for its references.

    Returns:
        ``integer``, ``number``, ``boolean``, ``string``, ``date``, ``datetime``, ``object`` or ``array``; None if
        several kinds are possible, or any.

    """
    kinds = _kinds(schema, root, 0) - {"null"}
    if kinds == {"integer", "number"}:
        return "number"
    return next(iter(kinds)) if len(kinds) == 1 and ANY not in kinds else None


def properties_of(schema: Any, root: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the properties of a schema that allows only objects, each with its schema; None for other schemas."""
    if _kinds(schema, root, 0) != {"object"}:
        return None
    found: dict[str, Any] = {}
    named = False
    for each in _parts(schema, root, 0):
        if isinstance(properties := each.get("properties"), Mapping):
            named = True
            found |= properties
    return found if named else None


def _parts(schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    # Yields the schemas that a value must match: referenced ones, parts of allOf, and the schema itself.
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    if "$ref" in schema:
        yield from _parts(_referred(schema["$ref"], root), root, depth + 1)
    for each in _list(schema.get("allOf")):
        yield from _parts(each, root, depth + 1)
    yield schema


def _kinds(schema: Any, root: Mapping[str, Any], depth: int) -> set[str]:
    found = {ANY}
    for each in _parts(schema, root, depth):
        found = _both(found, _own(each, root, depth))
    return found


def _own(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> set[str]:
    # Kinds of a schema without its references.
    if depth > _DEEPEST:
        return {ANY}
    found = {ANY}
    named = schema.get("type")
    if isinstance(named, str) or (isinstance(named, list) and named):
        found = set(_list(named) or [named])
    values = _list(schema.get("enum")) or ([schema["const"]] if "const" in schema else [])
    if values:
        found = _both(found, {_kind_of_value(value) for value in values})
    for word in ("anyOf", "oneOf"):
        if alternatives := _list(schema.get(word)):
            found = _both(found, set().union(*(_kinds(each, root, depth + 1) for each in alternatives)))
    date = _DATES.get(schema.get("format", "")) if isinstance(schema.get("format", ""), str) else None
    return {date if kind == "string" and date else kind for kind in found}


def _both(one: set[str], other: set[str]) -> set[str]:
    # Intersection of two sets; an integer is a number, and a date is a string.
    if ANY in one:
        return other
    if ANY in other:
        return one
    wider = {"integer": "number", "date": "string", "datetime": "string"}
    return {kind for kind in one | other if all(kind in each or wider.get(kind) in each for each in (one, other))}


def _kind_of_value(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _referred(where: Any, root: Mapping[str, Any]) -> Any:
    # Resolves a JSON pointer (RFC 6901) into the schema itself; other documents are never fetched.
    if not isinstance(where, str) or not where.startswith("#"):
        return None
    found: Any = root
    for step in where[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
