"""Writes `tests/golden/schema.json`: the JSON schemas that the TypeScript types are generated from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from jupyter_bgstream.core.schemas.frames import CLIENT_FRAMES, SERVER_FRAMES
from jupyter_bgstream.server.openapi import REF, component_schemas

GOLDEN = Path(__file__).parents[1] / "golden/schema.json"


def golden() -> str:
    """Return the contents of the file: one schema a line, without descriptions."""
    (client, server), frames = msgspec.json.schema_components([CLIENT_FRAMES, SERVER_FRAMES], ref_template=REF)
    schemas = frames | component_schemas() | {"ClientFrame": client, "ServerFrame": server}
    lines = (f"{json.dumps(name)}: {json.dumps(_bare(schema))}" for name, schema in sorted(schemas.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if not _is_text(key, value)}
    return [_bare(each) for each in schema] if isinstance(schema, list | tuple) else schema


def _is_text(key: str, value: Any) -> bool:
    return key in ("description", "title") and isinstance(value, str)


if __name__ == "__main__":
    GOLDEN.write_text(golden())
