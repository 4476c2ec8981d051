"""The operations of the API: parameters, bodies and responses of each verb of each route, for OpenAPI."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ..core import messages
from ..core.costs import Price
from ..core.events import Event
from ..core.schemas.batches import AnswerPage, BatchInfo
from ..core.schemas.enums import STATUSES
from ..core.schemas.inbox import Inbox, MuteList
from ..core.schemas.jobs import JobDetail, JobInfo, JobPage
from ..core.schemas.server_info import CostList, ErrorResponse, KernelInfo, ModelsInfo, ServerStatus
from ..core.schemas.threads import ThreadInfo, ThreadMessages, ThreadPage
from ..core.tool_call_checks import MAX_ID
from . import costs, inbox, jobs, request_bodies, threads
from .base import MAX_PAGE

JSON = "application/json"
FILE = "file"  # a response that is an image, not JSON
TEXT = {"type": "string"}
NOT_BLANK = {"type": "string", "pattern": r"[^\s\x1c-\x1f\x85]"}
NULL = {"type": "null"}
EMPTY = {"type": "array", "maxItems": 0}
NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
BASE64 = {"type": "string", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$"}

Schema = dict[str, Any]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A verb of a route: its parameters, its body, and its responses beside ``openapi.COMMON_ERRORS``."""

    responses: Mapping[int, Any]  # status to the type of the body; None: no body
    body: Any = None
    query: Mapping[str, Schema] = {}
    headers: Mapping[str, Schema] = {}
    required: tuple[str, ...] = ()  # names of query parameters
    links: str = ""  # path of the operations that take the id in the response


OFFSET = {"type": "string", "pattern": r"^(-1|now|[0-9a-f]{8}_[0-9]{4}_[0-9]{12})$", "default": "-1"}
LAST_EVENT_ID = {"type": "string", "pattern": OFFSET["pattern"].replace("(", "(|", 1)}
SSE = {
    "type": "object",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"enum": ["data", "control"]},
        "id": TEXT,
        "data": {"type": "string", "contentMediaType": JSON},
    },
}
THREAD: dict[str, Schema] = {"thread": {"type": "string", "minLength": 1, "maxLength": threads.MAX_NAME}}
MUTED: dict[str, Schema] = {
    kind: {"type": "string", "minLength": 1, "maxLength": inbox.MAX_NAME} for kind in inbox.MUTED_KINDS
}

PAGE: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
    "cursor": {"type": "string", "pattern": "^[0-9]{1,15}$"},
}

OPERATIONS: dict[str, Operation] = {
    "get jobs": Operation(
        query={
            "status": {"type": "string", "enum": list(STATUSES)},
            **dict.fromkeys(("thread", "notebook", "batch", "submitted_by", "tag"), TEXT),
            "ids": {"type": "array", "items": TEXT, "maxItems": jobs.MAX_IDS},
            **PAGE,
        },
        responses={200: JobPage},
    ),
    "post jobs": Operation(
        body=request_bodies.JobSubmission,
        responses={201: JobInfo, 200: JobInfo, 409: ErrorResponse, 429: ErrorResponse},
        links="jobs/{id}",
    ),
    "get jobs/{id}": Operation(responses={200: JobDetail}),
    "delete jobs/{id}": Operation(responses={204: None}),
    "post jobs/{id}/cancel": Operation(responses={200: JobInfo}),
    "post jobs/{id}/retry": Operation(responses={201: JobInfo, 200: JobInfo, 409: ErrorResponse, 429: ErrorResponse}),
    "get jobs/{id}/events": Operation(
        query={"offset": OFFSET, "live": {"type": "string", "enum": ["long-poll", "sse"]}},
        headers={"Last-Event-ID": LAST_EVENT_ID, "If-None-Match": TEXT},
        responses={200: list[Event], 204: None, 304: None, 410: ErrorResponse},
    ),
    "head jobs/{id}/events": Operation(responses={200: None}),
    "get jobs/{id}/images/{image}": Operation(headers={"If-None-Match": TEXT}, responses={200: FILE, 304: None}),
    "post batches": Operation(
        body=request_bodies.BatchSubmission,
        responses={200: BatchInfo, 409: ErrorResponse, 429: ErrorResponse},
        links="batches/{id}",
    ),
    "get batches/{id}": Operation(responses={200: BatchInfo}),
    "get batches/{id}/answers": Operation(
        query={
            "cursor": {"type": "string", "pattern": "^[0-9]{1,15}_[0-9]{1,15}$"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE},
        },
        responses={200: AnswerPage},
    ),
    "post batches/{id}/cancel": Operation(responses={200: BatchInfo}),
    "post batches/{id}/resume": Operation(responses={200: BatchInfo}),
    "post batches/{id}/retry": Operation(responses={200: BatchInfo, 429: ErrorResponse}),
    "get kernels/{id}": Operation(responses={200: KernelInfo}),
    "get threads": Operation(query=PAGE | {"thread": TEXT}, responses={200: ThreadPage}),
    "delete threads": Operation(query=THREAD, required=("thread",), responses={204: None}),
    "get threads/messages": Operation(query=THREAD, required=("thread",), responses={200: ThreadMessages}),
    "post threads/fork": Operation(body=request_bodies.ForkRequest, responses={201: ThreadInfo, 409: ErrorResponse}),
    "post threads/rename": Operation(
        body=request_bodies.RenameRequest, responses={200: ThreadInfo, 409: ErrorResponse}
    ),
    "get mutes": Operation(responses={200: MuteList}),
    "put mutes": Operation(query=MUTED, responses={200: MuteList}),
    "delete mutes": Operation(query=MUTED, responses={200: MuteList}),
    "get notices": Operation(query={"unread": {"type": "string", "enum": ["true", "false"]}}, responses={200: Inbox}),
    "post notices/read": Operation(body=request_bodies.ReadRequest, responses={200: Inbox}),
    "delete notices/{id}": Operation(responses={204: None}),
    "get costs": Operation(
        query={
            "by": {"type": "string", "enum": list(costs.COST_KEYS), "default": "day"},
            **{key: {"type": "integer", "minimum": 0, "maximum": costs.MAX_TIME} for key in ("since", "until")},
        },
        responses={200: CostList},
    ),
    "get prices": Operation(
        query={
            "model": TEXT,
            **{
                key: {"type": "integer", "minimum": 0, "maximum": costs.MAX_TOKENS}
                for key in ("input_tokens", "output_tokens")
            },
        },
        responses={200: Price},
    ),
    "get models": Operation(
        query={"refresh": {"type": "string", "enum": ["true", "false"]}}, responses={200: ModelsInfo}
    ),
    "get status": Operation(responses={200: ServerStatus}),
    "get openapi.json": Operation(responses={200: dict[str, Any]}),
    "get live": Operation(responses={101: None}),
}

# HEAD is GET without the body.
for path in [name.removeprefix("get ") for name in OPERATIONS if name.startswith("get ") and name != "get live"]:
    read = OPERATIONS[f"get {path}"]
    OPERATIONS.setdefault(
        f"head {path}", Operation(responses=dict.fromkeys(read.responses), query=read.query, required=read.required)
    )

# Constraints of request bodies that the code checks and the types do not express.
CONTENT = {
    "anyOf": [
        NOT_BLANK,
        {
            "type": "array",
            "contains": {
                "anyOf": [
                    {"properties": {"type": {"const": "text"}, "text": NOT_BLANK}, "required": ["type", "text"]},
                    {
                        "properties": {"type": {"enum": ["image", "file", "audio"]}, "data": BASE64},
                        "required": ["type", "data"],
                    },
                ]
            },
        },
    ]
}
WITH_PROMPT = {"required": ["prompt"], "properties": {"prompt": NOT_BLANK, "messages": NULL}}
WITH_MESSAGES = {
    "required": ["messages"],
    "properties": {
        "prompt": NULL,
        "messages": {"type": "array", "contains": {"properties": {"content": CONTENT}, "required": ["content"]}},
    },
}
CONSTRAINTS: dict[type, Schema] = {
    messages.ImagePart: {"properties": {"data": BASE64}},
    messages.FilePart: {
        "properties": {
            "media_type": {"pattern": f"^({messages.FILE_TYPE})$"},
            "name": {"pattern": NO_CONTROL},
            "data": BASE64,
        }
    },
    messages.AudioPart: {"properties": {"data": BASE64}},
    messages.FunctionCall: {"properties": {name: {"minLength": 1, "maxLength": MAX_ID} for name in ("id", "name")}},
    messages.Message: {
        "oneOf": [
            {
                "properties": {
                    "role": {"enum": ["system", "developer", "user"]},
                    "tool_calls": EMPTY,
                    "tool_call_id": NULL,
                }
            },
            {"properties": {"role": {"const": "assistant"}, "tool_call_id": NULL}},
            {
                "required": ["tool_call_id"],
                "properties": {"role": {"const": "tool"}, "tool_calls": EMPTY, "tool_call_id": TEXT},
            },
        ]
    },
    request_bodies.JobSubmission: {
        "oneOf": [WITH_PROMPT, WITH_MESSAGES],
        "properties": {"model": {"anyOf": [{"type": "string", "pattern": r"^[^/]+/[\s\S]"}, NULL]}},
    },
    request_bodies.BatchSubmission: {
        "properties": {"jobs": {"items": {"required": ["id"], "properties": {"id": {"type": "string"}, "batch": NULL}}}}
    },
    request_bodies.ReadRequest: {
        "oneOf": [
            {"required": ["ids"], "properties": {"ids": {"type": "array"}, "all": {"const": False}}},
            {"required": ["all"], "properties": {"ids": NULL, "all": {"const": True}}},
        ]
    },
}

# Fields of each type of part in responses, beside ``type`` and ``cache_control``.
PART_FIELDS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "image": ("media_type", "bytes"),
    "file": ("media_type", "name", "bytes"),
    "audio": ("media_type", "bytes"),
}
