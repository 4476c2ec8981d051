"""The page of the REST reference, as Markdown, from the OpenAPI document that a server sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

INTRODUCTION = """\
# REST reference

This page is generated from the OpenAPI document that each server sends at `GET openapi.json`.
[The protocol](protocol.md) has the meaning of fields, the [error codes](protocol.md#errors) and the WebSocket.

All paths are below `{base_url}api/bgstream/`.
HEAD is available wherever GET is, with the same status and headers and no body.
Each operation may also respond with 400, 403, 404, 413 or 503, and the body [`ErrorResponse`](#schema-errorresponse).
"""


def rest_page(document: Schema) -> str:
    """Return the page."""
    common = set(document["components"]["responses"])
    parts = [INTRODUCTION, "## Operations\n"]
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            if verb != "head":
                parts.append("\n".join(_operation(verb, path.lstrip("/"), operation, common)))
    parts.append("## Schemas\n\nA field that is not marked *optional* is always present.\n")
    for name, schema in sorted(document["components"]["schemas"].items(), key=lambda item: item[0].lower()):
        parts.append("\n".join(_component(name, schema)))
    return "\n".join(parts)


def _operation(verb: str, path: str, operation: Schema, common: set[str]) -> Iterator[str]:
    yield f"### `{verb.upper()} {path}`\n"
    yield f"{operation['summary']}\n"
    for parameter in operation["parameters"]:
        required = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
        yield f"- `{parameter['name']}` ({parameter['in']}{required}): {type_of(parameter['schema'])}"
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        yield f"- Body: {type_of(content['schema'])}"
    for status, response in operation["responses"].items():
        if status not in common:
            types = [
                type_of(media["schema"]) if "schema" in media else f"`{name}`"
                for name, media in response.get("content", {}).items()
            ]
            yield f"- **{status}** {response['description']}{': ' if types else ''}{' or '.join(types)}"
    yield ""


def _component(name: str, schema: Schema) -> Iterator[str]:
    yield f"(schema-{name.lower()})=\n\n### {name}\n"
    described = schema["allOf"][0] if "allOf" in schema else schema
    if description := described.get("description"):
        yield description.split("\n\n")[0].replace("\n", " ").replace("``", "`") + "\n"
    if "properties" in described:
        yield from _fields(described)
    else:
        yield f"{type_of(described)}\n"


def _fields(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    yield "| field | type |\n|---|---|"
    for field, value in schema["properties"].items():
        optional = "" if field in required else ", *optional*"
        yield f"| `{field}` | {type_of(value)}{optional} |".replace("\n", " ")
    yield ""


def type_of(schema: Schema) -> str:
    """Return a type in a few words of Markdown."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#schema-{name.lower()})"
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(type_of(each) for each in schema[union] if each != {}))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any value")
    if kind == "array":
        kind = f"list of {type_of(schema['items'])}" if schema.get("items") else "list"
    elif kind == "object" and "properties" in schema:
        fields = ", ".join(f"`{name}`: {type_of(each)}" for name, each in schema["properties"].items())
        return f"object with {fields}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        kind = f"object whose values are {type_of(schema['additionalProperties'])}"
    elif isinstance(kind, list):
        kind = " or ".join(kind)
    limits = _limits(schema)
    return f"{kind} ({limits})" if limits else str(kind)


def _limits(schema: Schema) -> str:
    named = (
        ("minimum", "at least {}"),
        ("maximum", "at most {}"),
        ("minLength", "at least {} characters"),
        ("maxLength", "at most {} characters"),
        ("maxItems", "at most {} items"),
        ("default", "default `{}`"),
    )
    return ", ".join(words.format(schema[key]) for key, words in named if schema.get(key) is not None)
