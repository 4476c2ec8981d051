"""The state of a viewer as ``fold.ts`` keeps it."""

import json
from typing import Any

import msgspec

from jupyter_bgstream.core.codec import encode
from jupyter_bgstream.core.schemas.convert import usage_info
from jupyter_bgstream.core.state import Answer

FIELDS = {
    "sources": ("url", "title"),
    "tool_calls": ("id", "name", "arguments"),
    "images": ("id", "media_type", "bytes"),
}


def state_of(answer: Answer) -> dict[str, Any]:
    """Return an answer in the fields of ``tests/golden/fold.json``, as JSON decodes them."""
    state = msgspec.structs.asdict(answer) | {"usage": usage_info(answer.usage)}
    for name, fields in FIELDS.items():
        state[name] = [{field: getattr(event, field) for field in fields} for event in state[name]]
    decoded: dict[str, Any] = json.loads(encode(state))
    return decoded
